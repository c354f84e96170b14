# For a tap of Homebrew's: `scripts/package/homebrew.sh URL` fills in where a release lies.
class Gpt4roi < Formula
  desc "Answers about boxes in an image, on this machine"
  homepage "https://arxiv.org/abs/2307.03601"
  url "@URL@"
  sha256 "@SHA256@"
  license any_of: ["MIT", "Apache-2.0"]

  depends_on "cmake" => :build
  depends_on "llvm" => :build # libclang, which the bindings are made with
  depends_on "rust" => :build

  def install
    # Not for this processor alone, which .cargo/config.toml asks for.
    ENV["RUSTFLAGS"] = "-C strip=symbols"
    ENV["LIBCLANG_PATH"] = Formula["llvm"].opt_lib
    features = OS.mac? ? ["--features", "metal"] : []
    system "cargo", "build", "--release", "--workspace", "--locked", *features
    bin.install "target/release/gpt4roi", "target/release/gpt4roi-convert"
    (pkgshare/"demo").install Dir["models/demo/*.gguf"], "models/demo/README.md", "models/demo/scenes"
    system "target/release/pages", "--share", "pages", bin/"gpt4roi", bin/"gpt4roi-convert"
    man1.install Dir["pages/man/man1/*"]
    bash_completion.install Dir["pages/bash-completion/completions/*"]
    zsh_completion.install Dir["pages/zsh/vendor-completions/*"]
    fish_completion.install Dir["pages/fish/vendor_completions.d/*"]
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/gpt4roi --version")
    system bin/"gpt4roi", "demo", "--out", testpath/"demo.png"
    assert_path_exists testpath/"demo.png"
  end
end
