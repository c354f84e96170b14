//! Sets of images with boxes in every format, well-formed and not.

mod coco;
mod csv;
mod cvat;
mod detect;
mod files;
mod hostile;
mod jsonl;
mod labelme;
mod visual_genome;
mod voc;
mod yolo;
mod yolo_splits;
