import unittest

from ocr_plugin import BlockKind, testing

from my_plugin import MyPlugin


class Words(unittest.TestCase):
    def test_words_are_replaced(self):
        page = testing.PageBuilder().span(BlockKind.HEADING, "Other").span(BlockKind.PARAGRAPH, "Off teh coast")
        [edit] = testing.process(MyPlugin, [page]).pages[0]
        self.assertEqual((edit.span.index, edit.text), (1, "Off the coast"))
