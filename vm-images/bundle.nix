# The test executables of `tracer`, static, under the names that harness/src/provision/bundle.rs gives them.
# `rust` has what all Rust packages of the flake have in common.
{ pkgs, rust }:
let
  static = pkgs.pkgsStatic;
  target = static.stdenv.hostPlatform.rust.rustcTarget;

  # nixpkgs marks the static build as broken for the sake of elfutils' programs; only libelf.a is wanted.
  elfutils = static.elfutils.overrideAttrs (old: {
    meta = old.meta // {
      badPlatforms = [ ];
    };
  });
  # tracer/build.rs links whatever it finds there, so there is nothing else.
  libraries = pkgs.runCommand "static-libraries" { } ''
    mkdir $out
    ln -s ${pkgs.lib.getLib elfutils}/lib/libelf.a ${pkgs.lib.getLib static.zlib}/lib/libz.a $out
  '';
in
static.rustPlatform.buildRustPackage (
  rust
  // {
    pname = "tracer-tests";
    nativeBuildInputs = [ pkgs.jq ];
    env = {
      CLANG = "${pkgs.llvmPackages.clang-unwrapped}/bin/clang";
      LIBBPF_SYS_LIBRARY_PATH = "${libraries}";
      LIBBPF_SYS_EXTRA_CFLAGS = "-I${pkgs.lib.getDev elfutils}/include -I${pkgs.lib.getDev static.zlib}/include";
    };
    buildPhase = ''
      cargo test --no-run --offline --message-format json --package tracer --target ${target} >messages
    '';
    installPhase = ''
      mkdir $out
      jq --raw-output '
        select(.reason == "compiler-artifact" and .profile.test and .executable != null)
        | .executable + " tracer" + if .target.kind[0] == "test" then "-" + .target.name
          elif .target.kind[0] == "bin" then "-bin-" + .target.name
          else "" end' messages |
        while read -r executable name; do
          install -m 755 "$executable" "$out/$name"
        done
    '';
  }
)
