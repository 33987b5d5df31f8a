import unittest

from ocr_plugin import BlockKind, testing

from my_plugin import MyPlugin


class Pages(unittest.TestCase):
    def test_pages_become_text(self):
        page = testing.PageBuilder(7).span(BlockKind.PARAGRAPH, "Grüezi")
        run = testing.format(MyPlugin, [page], {"rule": "=="})
        self.assertEqual(run.main, "== page 7\nGrüezi\n")
