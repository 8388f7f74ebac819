# The guest image as one initramfs, with the layout that harness/src/provision/guest.rs writes: a static busybox, a
# static ssh server, init and the relay. It has no modules: kernels.nix builds in what a guest needs to reach the host.
{ pkgs }:
let
  static = pkgs.pkgsStatic;

  relay = static.stdenv.mkDerivation {
    name = "ukci-relay";
    src = ./relay.rs;
    dontUnpack = true;
    nativeBuildInputs = [ static.buildPackages.rustc ];
    buildPhase = ''
      rustc --edition 2024 --crate-name relay --target ${static.stdenv.hostPlatform.rust.rustcTarget} \
        -C linker=$CC -C target-feature=+crt-static -C opt-level=s -C panic=abort -C strip=symbols -o relay $src
    '';
    installPhase = "install -D relay $out/bin/relay";
  };
in
pkgs.runCommand "ukci-guest.cpio"
  {
    nativeBuildInputs = [ pkgs.cpio ];
  }
  ''
    mkdir -p root/{dev,etc,proc,root,run,sys,tmp,ukci} root/usr/{bin,lib,lib64,sbin}
    for directory in bin sbin lib lib64; do
      ln -s usr/$directory root/$directory
    done
    ln -s ukci/init root/init
    install -m 755 ${./init} root/ukci/init
    install -m 755 ${relay}/bin/relay root/ukci/relay
    install -m 644 ${./fstab} root/etc/fstab
    printf '%s\n' 'root:*:0:0:root:/root:/bin/sh' 'nobody:*:65534:65534:nobody:/:/bin/sh' >root/etc/passwd
    echo 'root:x:0:' >root/etc/group
    echo '127.0.0.1 localhost ukci' >root/etc/hosts
    install -m 755 ${static.dropbear}/bin/dropbear root/usr/sbin/dropbear
    install -m 755 ${static.busybox}/bin/busybox root/usr/bin/busybox
    for applet in $(${pkgs.busybox}/bin/busybox --list); do
      [ -e root/usr/bin/$applet ] || ln -s busybox root/usr/bin/$applet
    done
    cd root
    find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort | cpio --create --format newc --owner 0:0 --reproducible >$out
  ''
