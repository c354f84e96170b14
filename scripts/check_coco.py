#!/usr/bin/env python3
"""Loads results of `gpt4roi caption --to coco` with COCO's own tools (pip install pycocotools).

    scripts/check_coco.py instances.json captions.json

Every result must be of an image and a region of the data set, and `loadRes` must take them.
"""

import json
import sys

from pycocotools.coco import COCO


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    data_set = COCO(sys.argv[1])
    with open(sys.argv[2]) as file:
        results = json.load(file)
    # loadRes numbers the results anew: their own ids are those of the annotations.
    for result in results:
        annotation = data_set.anns[result["id"]]
        assert annotation["image_id"] == result["image_id"], result
        assert isinstance(result["caption"], str), result
    loaded = data_set.loadRes(sys.argv[2])
    assert len(loaded.anns) == len(results)
    for image in loaded.getImgIds():
        captions = [a["caption"] for a in loaded.loadAnns(loaded.getAnnIds(imgIds=image))]
        assert captions == [r["caption"] for r in results if r["image_id"] == image], image
    answered = {result["id"] for result in results}
    print(f"{len(results)} results of {len(loaded.getImgIds())} images are in order, "
          f"{len(answered)} of {len(data_set.anns)} annotations have one")


if __name__ == "__main__":
    main()
