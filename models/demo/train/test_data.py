"""What the composed scenes promise. Run: `cd models/demo/train && python3 -m unittest test_data` (needs the art)."""

import unittest

import numpy as np

import art
import backgrounds
import colours
import scenes
from concepts import concepts


class Scenes(unittest.TestCase):
    def test_a_seed_gives_one_scene(self):
        for split in scenes.SPLITS:
            first, again = (scenes.compose(scenes.scene_rng(split, 7), split) for _ in range(2))
            self.assertTrue(np.array_equal(first.image, again.image))
            self.assertEqual(first.objects, again.objects)

    def test_the_splits_share_no_scene(self):
        train, seen = (scenes.compose(scenes.scene_rng(split, 7), split) for split in ("train", "seen"))
        self.assertFalse(np.array_equal(train.image, seen.image))

    def test_each_split_has_its_own_art(self):
        roles = {s.name: s.role for s in art.SETS}
        for split, role in (("train", art.TRAIN), ("seen", art.TRAIN), ("unseen-art", art.UNSEEN_ART), ("photo", art.PHOTO)):
            for seed in range(20):
                for placed in scenes.compose(scenes.scene_rng(split, seed), split).objects:
                    self.assertEqual(roles[placed.art], role, f"{split} shows {placed.art}")
        self.assertNotIn("openmoji", art.for_training())
        self.assertNotIn("tuxpaint", art.for_training())

    def test_objects_lie_inside_and_stay_visible(self):
        for seed in range(60):
            scene = scenes.compose(scenes.scene_rng("train", seed), "train")
            self.assertEqual(scene.image.shape, (224, 224, 3))
            self.assertTrue(1 <= len(scene.objects) <= 10)
            for placed in scene.objects:
                x1, y1, x2, y2 = placed.box
                self.assertTrue(0 <= x1 < x2 <= 224 and 0 <= y1 < y2 <= 224, placed)
                self.assertLessEqual(max(x2 - x1, y2 - y1), scenes.LARGEST, placed)
                self.assertGreaterEqual(placed.visible, scenes.LEAST_VISIBLE, placed)
                self.assertEqual(concepts()[placed.concept].name, placed.name)

    def test_an_unknown_split_is_refused(self):
        with self.assertRaisesRegex(ValueError, "openmoji"):
            scenes.compose(np.random.default_rng(0), "openmoji")


class Sources(unittest.TestCase):
    def test_every_training_set_but_the_small_ones_has_every_concept(self):
        for name in ("fluent-3d", "noto", "twemoji", "openmoji"):
            self.assertEqual(len(art.load(name)), len(concepts()), name)

    def test_photographs_belong_to_concepts(self):
        self.assertLessEqual(set(art.PHOTOS), {c.name for c in concepts()})

    def test_a_tenth_of_the_backgrounds_is_held_out(self):
        train, held_out = backgrounds.pictures()
        self.assertEqual(len(held_out), round(0.1 * (len(train) + len(held_out))))
        self.assertGreaterEqual(len(train), 60)


class Colours(unittest.TestCase):
    def test_plain_colours_have_their_names(self):
        for name, rgb in {"red": (220, 30, 30), "orange": (250, 140, 20), "yellow": (250, 220, 40), "green": (40, 160, 60),
                          "blue": (40, 90, 220), "purple": (130, 50, 200), "pink": (250, 120, 190), "brown": (120, 70, 30),
                          "black": (15, 15, 15), "white": (250, 250, 250), "grey": (128, 128, 128)}.items():
            self.assertEqual(colours.dominant(np.full((50, 3), rgb, np.uint8))[::2], (name, True))

    def test_two_colours_in_equal_parts_are_not_clear(self):
        pixels = np.array([(220, 30, 30), (40, 90, 220)] * 50, np.uint8)
        self.assertFalse(colours.dominant(pixels)[2])


if __name__ == "__main__":
    unittest.main()
