import unittest

from ocr_plugin import BlockKind, Outcome, testing

from hello import Hello


class Pages(unittest.TestCase):
    def test_pages_become_text(self):
        page = testing.PageBuilder(7).span(BlockKind.PARAGRAPH, "Grüezi 👋").span(BlockKind.PARAGRAPH, "wohl")
        self.assertEqual(testing.format(Hello, [page], {"rule": "=="}).main, "== page 7\nGrüezi 👋\nwohl\n")

    def test_failed_pages_say_so(self):
        page = testing.PageBuilder(1, outcome=Outcome.FAILED)
        self.assertEqual(testing.format(Hello, [page]).main, "---- page 1\n(this page could not be read)\n")
