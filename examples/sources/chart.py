"""The figure of `report.html` as SVG elements: bars for animals, a line for water temperature."""

EVENINGS = ["2 Mar", "8 Mar", "15 Mar", "21 Mar", "28 Mar", "3 Apr", "10 Apr", "17 Apr", "24 Apr", "1 May", "8 May", "15 May"]
ANIMALS = [64, 210, 388, 571, 702, 655, 590, 612, 548, 431, 305, 198]
CELSIUS = [5.2, 6.1, 6.8, 8.4, 9.7, 9.1, 8.8, 11.6, 12.2, 12.9, 13.8, 14.5]
LEFT, RIGHT, TOP, BOTTOM = 44, 582, 14, 196
MOST_ANIMALS, MOST_CELSIUS = 800, 16


def chart():
    height = BOTTOM - TOP
    step = (RIGHT - LEFT) / len(EVENINGS)
    out = []
    for animals in range(0, MOST_ANIMALS + 1, 200):
        y = BOTTOM - height * animals / MOST_ANIMALS
        celsius = MOST_CELSIUS * animals // MOST_ANIMALS
        out.append(f'<path d="M{LEFT} {y:.1f}H{RIGHT}" stroke="#d5ddd8" stroke-width=".8"/>')
        out.append(f'<text x="{LEFT - 7}" y="{y + 3.4:.1f}" text-anchor="end">{animals}</text>')
        out.append(f'<text x="{RIGHT + 7}" y="{y + 3.4:.1f}">{celsius}°</text>')
    points = []
    for index, (day, animals, celsius) in enumerate(zip(EVENINGS, ANIMALS, CELSIUS)):
        x = LEFT + step * (index + 0.5)
        tall = height * animals / MOST_ANIMALS
        out.append(f'<rect x="{x - 14:.1f}" y="{BOTTOM - tall:.1f}" width="28" height="{tall:.1f}" fill="#63a58f"/>')
        out.append(f'<text x="{x:.1f}" y="{BOTTOM + 15}" text-anchor="middle">{day}</text>')
        points.append(f"{x:.1f},{BOTTOM - height * celsius / MOST_CELSIUS:.1f}")
    out.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="#c4602f" stroke-width="2.2"/>')
    out += [f'<circle cx="{p.split(",")[0]}" cy="{p.split(",")[1]}" r="3" fill="#c4602f"/>' for p in points]
    out.append(f'<path d="M{LEFT} {BOTTOM}H{RIGHT}" stroke="#5a6761" stroke-width="1"/>')
    return "\n      ".join(out)
