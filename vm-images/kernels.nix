# Mainline kernels of the series that the lock pins for `arch`, by the names of the matrix: { "6.12" = derivation; … }.
#
# The lock has the hashes of distribution packages, not of mainline sources, so the source and the patch level of a series
# are those of nixpkgs. A series that nixpkgs does not have is left out, with a warning. The configuration is the
# smallest that the kernel offers, with the fragments of matrix/kconfig on top.
{
  pkgs,
  arch,
  lock,
}:
let
  inherit (pkgs) lib;

  directory = ../matrix/kconfig;
  # `NAME.config` is for every architecture, `NAME.ARCH.config` for one.
  isWanted =
    file: builtins.match "[^.]+\\.config" file != null || builtins.match "[^.]+\\.${arch}\\.config" file != null;
  fragments = lib.optionals (builtins.pathExists directory) (
    map (file: "${directory}/${file}") (builtins.filter isWanted (builtins.attrNames (builtins.readDir directory)))
  );

  # The attribute of nixpkgs with the series of a Debian version, such as 6.12.117-1 or 7.3~rc7-1~exp1.
  attribute =
    version:
    if lib.hasInfix "~rc" version then
      "linux_testing"
    else
      "linux_${lib.concatStringsSep "_" (builtins.match "([0-9]+)\\.([0-9]+).*" version)}";

  # nixpkgs keeps the name of a series that it has removed, and throws when it is used.
  has = name: builtins.hasAttr name kernels && (builtins.tryEval kernels.${name}.version).success;
  inherit (pkgs.linuxKernel) kernels;

  build =
    kernel:
    pkgs.linuxManualConfig {
      inherit (kernel) version modDirVersion src;
      # What nixpkgs has to know of the configuration before it is made.
      config.CONFIG_MODULES = "y";
      configfile = pkgs.stdenv.mkDerivation {
        name = "linux-${kernel.version}.config";
        inherit (kernel) src;
        nativeBuildInputs = [
          pkgs.bc
          pkgs.bison
          pkgs.elfutils
          pkgs.flex
          pkgs.pahole
          pkgs.perl
        ];
        buildPhase = ''
          patchShebangs scripts
          make ARCH=${pkgs.stdenv.hostPlatform.linuxArch} tinyconfig
          cat ${lib.concatStringsSep " " fragments} /dev/null >>.config
          make ARCH=${pkgs.stdenv.hostPlatform.linuxArch} olddefconfig
        '';
        installPhase = "cp .config $out";
      };
    };

  mine = lib.filterAttrs (key: pin: lib.hasPrefix "${arch}/" key && pin.packages or [ ] != [ ]) lock.kernels;
  chosen = lib.mapAttrs' (key: pin: {
    name = lib.removePrefix "${arch}/" key;
    value = attribute (builtins.head pin.packages).version;
  }) mine;
  missing = lib.filterAttrs (_: attribute: !has attribute) chosen;
in
lib.warnIf (missing != { }) "nixpkgs has no kernel for ${lib.concatStringsSep ", " (builtins.attrNames missing)}" (
  lib.mapAttrs (_: attribute: build kernels.${attribute}) (lib.filterAttrs (_: has) chosen)
)
