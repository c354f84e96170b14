//! What the program says when nothing is asked of it.

/// Commands and where to begin.
pub(crate) const TEXT: &str = "\
gpt4roi answers questions about boxes in an image, on this machine.

  gpt4roi demo      see it work: questions about a picture, the answers drawn into a PNG file
  gpt4roi ask       one question about boxes of your image
  gpt4roi chat      a conversation about an image
  gpt4roi caption   every box of a set of images, resumable; `merge` puts shards together
  gpt4roi choose    how likely given answers are for a box
  gpt4roi stream    what a detector sees, as long as it sees something
  gpt4roi inspect   what a model file contains
  gpt4roi compare   every stage against reference tensors
  gpt4roi bench     how fast every stage is, and how close to what the machine can do

Begin with `gpt4roi demo`, then ask about an image of your own:

  gpt4roi ask --image photo.jpg --box 120,40,380,510 \"What is <region1>?\"

`gpt4roi --help` and `gpt4roi COMMAND --help` say more.";
