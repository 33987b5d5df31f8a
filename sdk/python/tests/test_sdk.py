"""`python3 -m unittest` in sdk/python."""

import dataclasses
import re
import subprocess
import sys
import unittest
from pathlib import Path

import ocr_plugin
from ocr_plugin import (
    Adapter,
    BlockKind,
    Canvas,
    Denied,
    DocInfo,
    Formatter,
    InputPage,
    PixelFormat,
    Processor,
    QuotaReached,
    RedactText,
    SetParent,
    SetText,
    Source,
    _component,
    _host,
    edits,
    export,
    image,
    ocr,
    output,
    pdf,
    testing,
    types,
)
from ocr_plugin.testing import PageBuilder

WIT = Path(__file__).resolve().parents[3] / "wit" / "v0.1.0"


def wit(interface: str) -> str:
    return re.sub(r"///.*", "", (WIT / f"{interface}.wit").read_text("utf-8"))


def pascal(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))


def page() -> PageBuilder:
    return (
        PageBuilder(3)
        .span(BlockKind.HEADING, "Grüezi 👋 wohl", level=1)
        .line("Grüezi 👋 wohl")
        .span(BlockKind.FORMULA, "x²", markup="x^2", label="eq")
        .span(BlockKind.TABLE, "")
        .cell(0, 1, "Käse")
    )


class Everything(Formatter):
    def __init__(self, doc, config):
        self.out = output.main()
        self.doc, self.mark = doc, config.get("mark", "*")

    def page(self, page):
        self.out.write(f"{self.mark} {self.doc.name} {page.info.number}\n")
        for span in page.reading_order():
            self.out.write(f"{span.kind} {span.label} {span.text}|{span.markup}\n")
        self.out.write("".join(f"[{word.text}]" for word in page.words_of(page.lines[0])))
        for cell in page.cells_of(page.spans[2]):
            self.out.write(f"({cell.row},{cell.column} {cell.text})")
        for anchor in page.anchors:
            self.out.write(f"<{anchor.span}:{anchor.text}>")
        picture = page.raster().crop(types.Rect(0, 0, 7, 9)).rotate(-1)
        self.out.write_image(picture, image.Encoding.JPEG)
        with output.create("a.txt", "text/plain") as further:
            further.write(b"\x01\x02")
            self.out.write(further.name)


class Contract(unittest.TestCase):
    def test_enumerations_and_fields_are_those_of_the_contract(self):
        seen = 0
        for interface, module in [("types", types), ("image", image), ("ocr", ocr), ("processor", edits), ("text-layer", types)]:
            text = wit(interface)
            for name, body in re.findall(r"enum ([a-z-]+) \{([^}]*)\}", text):
                self.assertEqual([str(case) for case in getattr(module, pascal(name))], re.findall(r"[a-z0-9-]+", body), name)
                seen += 1
            for name, body in re.findall(r"record ([a-z-]+) \{([^}]*)\}", text):
                ours = getattr(module, pascal(name), None)
                if ours is None or not dataclasses.is_dataclass(ours):
                    continue
                fields = [f.replace("-", "_") for f in re.findall(r"([a-z0-9-]+): ", body)]
                self.assertEqual({f.name for f in dataclasses.fields(ours)}, set(fields), name)
                seen += 1
        self.assertEqual(seen, 20)

    def test_there_is_an_edit_for_every_case(self):
        cases = re.search(r"variant edit \{([^}]*)\}", wit("processor")).group(1)
        for name in re.findall(r"([a-z-]+)\(", re.sub(r"tuple<.*?>|list<.*?>", "", cases)):
            self.assertTrue(dataclasses.is_dataclass(getattr(edits, pascal(name))), name)


class Still(unittest.TestCase):
    def test_dates_stand_still_with_the_clock(self):
        """In an interpreter of its own: what a component is made of is changed for good."""
        script = """if True:
            from ocr_plugin import _still
            _still.before_loading()
            import datetime, time, zoneinfo
            from datetime import datetime as dt
            print(dt.now(), dt.now(datetime.timezone.utc), dt.today(), datetime.date.today(), time.localtime().tm_year)
            print(dt.fromtimestamp(86400), dt(2026, 11, 28).timestamp(), dt.now().astimezone().utcoffset())
            print(dt.strptime("28.11.2026", "%d.%m.%Y").date(), isinstance(dt.now(), datetime.date))
        """
        sdk = Path(__file__).resolve().parents[1]
        env = {"PYTHONPATH": str(sdk), "TZ": "Asia/Tokyo"}
        ran = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False)
        begin = "1970-01-01 00:00:00"
        self.assertEqual(
            ran.stdout.splitlines(),
            [
                f"{begin} {begin}+00:00 {begin} 1970-01-01 1970",
                "1970-01-02 00:00:00 1795824000.0 0:00:00",
                "2026-11-28 True",
            ],
            ran.stderr,
        )


class InMemory(unittest.TestCase):
    def test_a_formatter_reads_pages_and_writes_files(self):
        run = testing.format(Everything, [page()], {"mark": "#"}, doc=DocInfo("ä.pdf", "application/pdf"))
        self.assertEqual(
            run.main,
            "# ä.pdf 3\nheading heading Grüezi 👋 wohl|\nformula eq x²|x^2\ntable table |\n"
            "[Grüezi][👋][wohl](0,1 Käse)<0:Grüezi 👋 wohl><1:x²><2:><jpeg 9x7>main.files/a.txt",
        )
        self.assertEqual(run.files["main.files/a.txt"], b"\x01\x02")

    def test_what_the_host_refuses_is_an_error_of_its_own(self):
        with self.assertRaises(Denied):
            testing.format(Everything, [page()], grants=testing.Grants(raster=False))
        with self.assertRaises(Denied):
            testing.format(Everything, [page()], grants=testing.Grants(files=False))
        testing.format(Everything, [])
        with self.assertRaises(Denied):
            pdf.Document.open(Source.from_bytes("a.pdf", b""))

    def test_edits_and_byte_ranges(self):
        class Shout(Processor):
            def process(self, page):
                first = page.spans[0]
                start = first.text_slice.start + len("Grüezi ".encode())
                return [SetText(first, first.text.upper()), SetParent(1, first), RedactText(start, 4)]

        done = testing.process(Shout, [page()])
        self.assertEqual(done.pages[0][0].text, "GRÜEZI 👋 WOHL")
        self.assertEqual(done.pages[0][2], RedactText(8, 4))
        self.assertEqual(done.document, [])

    def test_an_adapter_reads_sources_and_draws(self):
        class Gray(Adapter):
            def __init__(self, source, options):
                self.source, self.options = source, options

            def read(self, index, dpi):
                if index > 0:
                    return None
                canvas = Canvas(2, 2, PixelFormat.GRAY8)
                canvas.write_rows(1, self.source.window("part", 1, 2).read_all())
                return InputPage(canvas.finish(), 72)

        opened = testing.open_input(Gray, "a.gray", b"\x09\x00\x07", password="s")
        self.assertEqual(opened.options.password, "s")
        self.assertEqual(len(opened.source), 3)
        rows = testing.pixels(opened.read(0, 72).image)
        self.assertEqual(rows, (2, 2, b"\xff" * 6 + b"\0\0\0\7\7\7"))
        self.assertIsNone(opened.read(1, 72))

    def test_only_plugins_are_exported(self):
        with self.assertRaisesRegex(TypeError, "no subclass"):
            export(str)
        self.assertIs(export(Everything), Everything)

    def test_hosts_errors_are_known_by_their_cases(self):
        class HostError_Quota:
            class value:
                what, limit, used = types.Quota.MEMORY, 2, 1

        refused = _host.lift(HostError_Quota())
        self.assertIsInstance(refused, QuotaReached)
        self.assertEqual(str(refused), "limit memory reached: 1 of 2")
        self.assertIsNone(_host.lift(ValueError("x")))

    def test_every_world_is_known(self):
        worlds = re.findall(r"world ([a-z-]+) \{[^}]*export ([a-z-]+);", wit("worlds"))
        self.assertEqual(
            {name: base.__name__.lower() for name, (base, _) in _component.WORLDS.items()}, dict(worlds)
        )

    def test_all_names_are_there(self):
        for name in ocr_plugin.__all__:
            self.assertTrue(hasattr(ocr_plugin, name), name)


if __name__ == "__main__":
    unittest.main()
