# For users of Nix: ukci itself, mainline kernels, a guest image and the tests, each as a package. Nothing else here needs
# Nix, and ukci run from here needs what it needs elsewhere: see the README.
{
  description = "Runs the root-only tests of a Rust eBPF project on a matrix of real kernels in QEMU";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;

      # From Nix's names of the systems to those of the matrix.
      arches = {
        x86_64-linux = "x86_64";
        aarch64-linux = "aarch64";
      };
      # What `make` gives for the package set and the architecture, for every system.
      perSystem = make: lib.mapAttrs (system: arch: make nixpkgs.legacyPackages.${system} arch) arches;

      # The pins that `ukci update` moves.
      lock = builtins.fromJSON (builtins.readFile ./matrix/kernels.lock.json);
      workspace = (builtins.fromTOML (builtins.readFile ./Cargo.toml)).workspace;

      rust = {
        inherit (workspace.package) version;
        src = self;
        cargoLock.lockFile = ./Cargo.lock;
        # They boot guests and fetch packages, which no build of Nix may.
        doCheck = false;
      };
    in
    {
      packages = perSystem (
        pkgs: arch:
        let
          kernels = import ./vm-images/kernels.nix { inherit pkgs arch lock; };
          ukci = pkgs.rustPlatform.buildRustPackage (
            rust
            // {
              pname = "ukci";
              cargoBuildFlags = [
                "--package"
                "ukci"
              ];
              # OpenSSL is built from its source, and its configuration is a script in Perl.
              nativeBuildInputs = [ pkgs.perl ];
              meta.mainProgram = "ukci";
            }
          );
        in
        {
          inherit ukci;
          default = ukci;
          guest = import ./vm-images/guest.nix { inherit pkgs; };
          bundle = import ./vm-images/bundle.nix { inherit pkgs rust; };
          # All of them, each in a directory with its name.
          kernels = pkgs.linkFarm "ukci-kernels" kernels;
        }
        // lib.mapAttrs' (name: kernel: {
          name = "kernel-${builtins.replaceStrings [ "." ] [ "_" ] name}";
          value = kernel;
        }) kernels
      );

      apps = perSystem (
        pkgs: _:
        let
          ukci = {
            type = "app";
            program = "${self.packages.${pkgs.stdenv.hostPlatform.system}.ukci}/bin/ukci";
          };
        in
        {
          inherit ukci;
          default = ukci;
        }
      );

      devShells = perSystem (
        pkgs: _: {
          default = pkgs.mkShell {
            packages = [
              pkgs.cargo
              pkgs.cargo-deny
              pkgs.clippy
              pkgs.elfutils
              pkgs.llvm
              pkgs.perl
              pkgs.pkg-config
              pkgs.qemu
              pkgs.rustc
              pkgs.rustfmt
              pkgs.zlib
            ];
            # Nix's wrapper of clang adds options that the BPF target does not have.
            CLANG = "${pkgs.llvmPackages.clang-unwrapped}/bin/clang";
          };
        }
      );
    };
}
