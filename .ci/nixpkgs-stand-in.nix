# Stands in for nixpkgs where it cannot be fetched, so that the flake can be evaluated: every package is a derivation
# of the name that it is asked for, and every builder takes all arguments and gives a derivation that holds them.
# What nixpkgs really has, and what its builders accept, it does not know.
{
  outputs =
    { self }:
    let
      lib = {
        inherit (builtins) mapAttrs concatStringsSep;
        filterAttrs =
          keep: set: removeAttrs set (builtins.filter (name: !keep name set.${name}) (builtins.attrNames set));
        getDev = package: package;
        getLib = package: package;
        hasInfix = infix: text: builtins.length (builtins.split infix text) > 1;
        hasPrefix = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;
        mapAttrs' = make: set: builtins.listToAttrs (map (name: make name set.${name}) (builtins.attrNames set));
        optionals = condition: list: if condition then list else [ ];
        removePrefix = prefix: builtins.substring (builtins.stringLength prefix) (-1);
        warnIf = condition: text: if condition then builtins.trace "warning: ${text}" else value: value;
      };

      package =
        system: arguments:
        let
          made = derivation (
            arguments
            // {
              name = arguments.name or "${arguments.pname}-${arguments.version}";
              inherit system;
              builder = "/bin/sh";
              # Everything becomes part of the derivation, so everything is evaluated.
              __structuredAttrs = true;
            }
          );
        in
        made
        // {
          meta = arguments.meta or { };
          overrideAttrs = change: package system (arguments // change ({ meta = { }; } // arguments));
        };

      packages =
        system: arch:
        let
          make = package system;
          named = name: make { inherit name; };
        in
        builtins.listToAttrs (
          map
            (name: {
              inherit name;
              value = named name;
            })
            [
              "bc"
              "bison"
              "busybox"
              "cargo"
              "cargo-deny"
              "clippy"
              "cpio"
              "dropbear"
              "elfutils"
              "flex"
              "jq"
              "llvm"
              "pahole"
              "perl"
              "pkg-config"
              "qemu"
              "rustc"
              "rustfmt"
              "zlib"
            ]
        )
        // {
          inherit lib;
          stdenv = {
            mkDerivation = make;
            hostPlatform = {
              inherit system;
              linuxArch = if arch == "aarch64" then "arm64" else arch;
              rust.rustcTarget = "${arch}-unknown-linux-musl";
            };
          };
          buildPackages.rustc = named "rustc";
          llvmPackages.clang-unwrapped = named "clang";
          rustPlatform.buildRustPackage = make;
          mkShell = arguments: make (arguments // { name = "shell"; });
          linkFarm = name: entries: make { inherit name entries; };
          linuxManualConfig = arguments: make (arguments // { pname = "linux"; });
          runCommand = name: arguments: script: make (arguments // { inherit name script; });
          # One series is there, one was removed, the others never were.
          linuxKernel.kernels =
            let
              kernel = version: {
                inherit version;
                modDirVersion = version;
                src = named "linux-${version}.tar.xz";
              };
            in
            {
              linux_6_12 = kernel "6.12.1";
              linux_testing = kernel "7.3-rc1";
              linux_6_19 = throw "linux 6.19 was removed";
            };
          pkgsStatic = packages system arch;
        };
    in
    {
      inherit lib;
      legacyPackages = {
        x86_64-linux = packages "x86_64-linux" "x86_64";
        aarch64-linux = packages "aarch64-linux" "aarch64";
      };
    };
}
