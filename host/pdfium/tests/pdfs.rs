//! Small PDFs, some of them mean, made where they are needed.

/// A PDF with one page of US letter size for each content stream; `objects` are further ones, from number 4 on,
/// reachable as the fonts and forms that `resources` names; Helvetica is `/F` unless `resources` has fonts.
pub fn pdf(contents: &[&[u8]], resources: &str, objects: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let first_page = 4 + objects.len();
    let mut bodies: Vec<Vec<u8>> = vec![
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        {
            let kids: Vec<String> = (0..contents.len())
                .map(|n| format!("{} 0 R", first_page + 2 * n))
                .collect();
            format!(
                "<< /Type /Pages /Kids [{}] /Count {} >>",
                kids.join(" "),
                contents.len()
            )
            .into_bytes()
        },
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_vec(),
    ];
    let stream = |dict: &str, data: &[u8]| {
        let mut body = format!("<< /Length {} {dict} >>\nstream\n", data.len()).into_bytes();
        body.extend(data);
        body.extend(b"\nendstream");
        body
    };
    bodies.extend(objects.iter().map(|(dict, data)| stream(dict, data)));
    let font = if resources.contains("/Font") {
        ""
    } else {
        "/Font << /F 3 0 R >>"
    };
    for (n, content) in contents.iter().enumerate() {
        bodies.push(
            format!(
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {} 0 R \
                 /Resources << {font} {resources} >> >>",
                first_page + 2 * n + 1
            )
            .into_bytes(),
        );
        bodies.push(stream("", content));
    }
    let mut file = b"%PDF-1.7\n".to_vec();
    let mut offsets = Vec::new();
    for (n, body) in bodies.iter().enumerate() {
        offsets.push(file.len());
        file.extend(format!("{} 0 obj\n", n + 1).bytes());
        file.extend(body);
        file.extend(b"\nendobj\n");
    }
    let table = file.len();
    file.extend(format!("xref\n0 {}\n0000000000 65535 f \n", bodies.len() + 1).bytes());
    for offset in offsets {
        file.extend(format!("{offset:010} 00000 n \n").bytes());
    }
    file.extend(
        format!(
            "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n",
            bodies.len() + 1
        )
        .bytes(),
    );
    file
}

/// A line of large text.
pub fn line(text: &str) -> Vec<u8> {
    format!("BT /F 24 Tf 72 700 Td ({text}) Tj ET").into_bytes()
}

/// Pages of one line each.
#[allow(dead_code)]
pub fn lines(texts: &[String]) -> Vec<u8> {
    let contents: Vec<Vec<u8>> = texts.iter().map(|t| line(t)).collect();
    pdf(&contents.iter().map(Vec::as_slice).collect::<Vec<_>>(), "", &[])
}

/// Three pages; the one in the middle draws a form that draws a form ten times, and so on: memory without end.
#[allow(dead_code)]
pub fn bomb() -> Vec<u8> {
    const DEPTH: usize = 12;
    let form = |n: usize| {
        let inner = if n + 1 < DEPTH {
            format!("/Resources << /XObject << /X {} 0 R >> >>", n + 5)
        } else {
            "/Resources << /Font << /F 3 0 R >> >>".into()
        };
        let dict: &'static str = format!("/Type /XObject /Subtype /Form /BBox [0 0 612 792] {inner}").leak();
        let drawn = if n + 1 < DEPTH {
            b"/X Do ".repeat(10)
        } else {
            line("deep")
        };
        (dict, drawn)
    };
    let forms: Vec<(&str, Vec<u8>)> = (0..DEPTH).map(form).collect();
    pdf(
        &[&line("before"), b"/X Do", &line("after")],
        "/XObject << /X 4 0 R >>",
        &forms,
    )
}

/// A page that takes long and little memory: one large fill over another.
#[allow(dead_code)]
pub fn slow() -> Vec<u8> {
    let fills = b"0.5 g 0 0 612 792 re f\n".repeat(20_000);
    pdf(&[&line("before"), &fills, &line("after")], "", &[])
}
