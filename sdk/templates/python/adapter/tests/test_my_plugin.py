import unittest

from ocr_plugin import InvalidInput, testing

from my_plugin import MyPlugin


class Images(unittest.TestCase):
    def test_an_image_is_read(self):
        data = b"P5 2 1 255\n\x00\xff"
        self.assertEqual(MyPlugin.sniff("a.pgm", data), 80)
        opened = testing.open_input(MyPlugin, "a.pgm", data)
        self.assertEqual(testing.pixels(opened.read(0, 96).image), (2, 1, b"\x00\x00\x00\xff\xff\xff"))
        self.assertIsNone(opened.read(1, 96))

    def test_a_cut_file_says_so(self):
        with self.assertRaises(InvalidInput):
            testing.open_input(MyPlugin, "a.pgm", b"P5 2 2 255\n\x00\xff").read(0, 96)
