"""The embedded engine's detector and recogniser under onnxruntime, written from the published description.

It answers one question: what do these weights give when another runtime and other image code run them? It follows
the same steps as the engine (see `host/models/ppocr`): scale to 1280 px, a text map, minimum-area rectangles grown
by their area over their perimeter, rows by height, perspective crops of 48 px, greedy CTC. It knows no layout, no
tables and no page orientation.
"""

import dataclasses
import time

import cv2
import numpy as np
import onnxruntime
from PIL import Image

MEAN = np.float32([0.485, 0.456, 0.406])
DEVIATION = np.float32([0.229, 0.224, 0.225])


@dataclasses.dataclass(frozen=True)
class Settings:
    longest_side_px: int = 1280
    map_threshold: float = 0.3
    box_threshold: float = 0.45
    unclip_ratio: float = 1.6
    least_side_px: float = 3
    most_boxes: int = 3000
    line_height_px: int = 48
    widest_line_px: int = 3200
    text_threshold: float = 0.5
    rescue_below: float = 0.95  # used with a second recogniser only
    rescue_margin: float = 0.02


@dataclasses.dataclass
class Line:
    corners: np.ndarray  # 4 x 2, clockwise from the top left, page pixels
    text: str
    confidence: float


def load_bgr(path):
    """8-bit BGR with transparency on white, first frame only."""
    with Image.open(path) as image:
        image.seek(0)
        if image.mode in ("RGBA", "LA") or "transparency" in image.info:
            image = image.convert("RGBA")
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image)
        return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])


def session(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Recogniser:
    def __init__(self, weights, characters, threads):
        self.session = session(weights, threads)
        if characters is None:
            stored = self.session.get_modelmeta().custom_metadata_map["character"]
            names = stored.split("\n")
        else:
            names = [line.rstrip("\r\n") for line in open(characters, encoding="utf-8", newline="\n")]
        self.classes = ["", *names, " "]
        expected = self.session.get_outputs()[0].shape[-1]
        if isinstance(expected, int) and expected != len(self.classes):
            raise ValueError(f"{weights}: {expected} classes, but the dictionary gives {len(self.classes)}")

    def read(self, crop, settings):
        height = settings.line_height_px
        width = int(np.ceil(height * crop.shape[1] / crop.shape[0]))
        width = max(height // 6, min(settings.widest_line_px, width))
        pixels = cv2.resize(crop, (width, height)).astype(np.float32) / 127.5 - 1
        scores = self.session.run(None, {"x": np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])})[0][0]
        best, sure = scores.argmax(1), scores.max(1)
        kept = (best != 0) & (best != np.concatenate(([0], best[:-1])))
        text = "".join(self.classes[index] for index in best[kept])
        return text, float(sure[kept].mean()) if kept.any() else 0.0


def rectangle(points):
    """Corners of the minimum-area rectangle, clockwise from the top left, and its shorter side."""
    shape = cv2.minAreaRect(points)
    by_x = sorted(cv2.boxPoints(shape).tolist())
    (top_left, bottom_left) = sorted(by_x[:2], key=lambda point: point[1])
    (top_right, bottom_right) = sorted(by_x[2:], key=lambda point: point[1])
    return np.float32([top_left, top_right, bottom_right, bottom_left]), min(shape[1])


class Reference:
    """Detector and recogniser; `rescue` names a second, larger recogniser for uncertain lines."""

    def __init__(self, detector, recogniser, characters, threads, rescue=None, settings=Settings()):
        self.detector = session(detector, threads)
        self.recogniser = Recogniser(recogniser, characters, threads)
        self.rescue = Recogniser(rescue, None, threads) if rescue else None
        self.settings = settings
        self.seconds = {}

    def detect(self, image):
        settings = self.settings
        height, width = image.shape[:2]
        scale = min(1.0, settings.longest_side_px / max(height, width))
        w = max(32, round(width * scale / 32) * 32)
        h = max(32, round(height * scale / 32) * 32)
        pixels = (cv2.resize(image, (w, h)).astype(np.float32) / 255 - MEAN) / DEVIATION
        text_map = self.detector.run(None, {"x": np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])})[0][0, 0]
        mask = (text_map > settings.map_threshold).astype(np.uint8)
        contours = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)[0][: settings.most_boxes]
        boxes = []
        for contour in contours:
            corners, side = rectangle(contour)
            if side < settings.least_side_px or self._score(text_map, corners) < settings.box_threshold:
                continue
            (centre, (across, down), angle) = cv2.minAreaRect(corners)
            if across + down == 0:
                continue
            grow = across * down * settings.unclip_ratio / (2 * (across + down))
            grown = cv2.boxPoints((centre, (across + 2 * grow, down + 2 * grow), angle))
            corners, side = rectangle(grown)
            if side < settings.least_side_px + 2:
                continue
            corners[:, 0] = np.clip(np.round(corners[:, 0] / w * width), 0, width)
            corners[:, 1] = np.clip(np.round(corners[:, 1] / h * height), 0, height)
            if np.linalg.norm(corners[0] - corners[1]) > 3 and np.linalg.norm(corners[0] - corners[3]) > 3:
                boxes.append(corners)
        return self._in_rows(boxes)

    @staticmethod
    def _score(text_map, corners):
        h, w = text_map.shape
        low = np.floor(corners.min(0)).astype(int).clip(0, [w - 1, h - 1])
        high = np.ceil(corners.max(0)).astype(int).clip(0, [w - 1, h - 1])
        inside = np.zeros((high[1] - low[1] + 1, high[0] - low[0] + 1), np.uint8)
        cv2.fillPoly(inside, [(corners - low).astype(np.int32)], 1)
        return cv2.mean(text_map[low[1]:high[1] + 1, low[0]:high[0] + 1], inside)[0]

    @staticmethod
    def _in_rows(boxes):
        """Top to bottom; boxes that start less than half a usual line apart share a row, left to right."""
        if not boxes:
            return []
        usual = float(np.median([np.linalg.norm(box[0] - box[3]) for box in boxes]))
        rows = []
        for box in sorted(boxes, key=lambda corners: corners[0][1]):
            if rows and abs(box[0][1] - rows[-1][-1][0][1]) < usual / 2:
                rows[-1].append(box)
            else:
                rows.append([box])
        return [box for row in rows for box in sorted(row, key=lambda corners: corners[0][0])]

    @staticmethod
    def _crop(image, corners):
        width = int(max(np.linalg.norm(corners[0] - corners[1]), np.linalg.norm(corners[2] - corners[3])))
        height = int(max(np.linalg.norm(corners[0] - corners[3]), np.linalg.norm(corners[1] - corners[2])))
        width, height = max(width, 1), max(height, 1)
        target = np.float32([[0, 0], [width, 0], [width, height], [0, height]])
        warp = cv2.getPerspectiveTransform(corners, target)
        crop = cv2.warpPerspective(image, warp, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return cv2.rotate(crop, cv2.ROTATE_90_COUNTERCLOCKWISE) if height >= 1.5 * width else crop

    def read(self, image):
        """All lines of a BGR page; the stages' wall times are left in `seconds`."""
        settings = self.settings
        start = time.perf_counter()
        boxes = self.detect(image)
        detected = time.perf_counter()
        lines = []
        for corners in boxes:
            crop = self._crop(image, corners)
            text, confidence = self.recogniser.read(crop, settings)
            if self.rescue and confidence < settings.rescue_below:
                second, second_confidence = self.rescue.read(crop, settings)
                if second_confidence >= confidence - settings.rescue_margin:
                    text, confidence = second, second_confidence
            if text and confidence >= settings.text_threshold:
                lines.append(Line(corners, text, confidence))
        self.seconds = {"detect": detected - start, "recognize": time.perf_counter() - detected}
        return lines
