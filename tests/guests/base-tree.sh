# SPDX-License-Identifier: Apache-2.0
# Sourced by build-guest.sh: the tree of files that all layouts begin with, kept as an archive.

base_packages=systemd,systemd-sysv,udev,dbus,ifupdown,iproute2,iputils-ping,netbase,procps,kmod
base_packages+=,e2fsprogs,initramfs-tools,linux-image-cloud-amd64,grub-pc-bin,grub2-common
base_packages+=,open-vm-tools,qemu-guest-agent

# What only some layouts keep; the others purge it, so that it costs them nothing at boot.
layout_packages="lvm2 cryptsetup-initramfs cryptsetup-bin btrfs-progs mdadm systemd-boot-efi"

# The package sources of this machine, so that its mirror is used; Debian's own when unknown.
package_sources() {
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' 'Origin: Debian' 'Codename: bookworm' 2>/dev/null |
        grep '^deb http.* bookworm main$' | sort -u || true
}

make_base() {
    local lists=$work/sources.list
    package_sources >"$lists"
    [[ -s $lists ]] || echo 'deb http://deb.debian.org/debian bookworm main' >"$lists"
    say "fetching and unpacking Debian packages"
    mmdebstrap --mode=root --format=directory --variant=minbase \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Retries "3"' \
        --aptopt='Acquire::Languages "none"' --aptopt='APT::Sandbox::User "root"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
        --essential-hook='mkdir -p "$1/etc/initramfs-tools"' \
        --essential-hook='cd "$1/etc/initramfs-tools"
                          echo update_initramfs=no >update-initramfs.conf' \
        --dpkgopt=force-confold --include="$base_packages,${layout_packages// /,}" \
        --customize-hook="$here/configure-root.sh \"\$1\"" \
        bookworm "$work/base" "$lists" </dev/null 2>&1 | tee "$work/mmdebstrap.log" |
        sed -u -n 's/^I: \(.*\)\.\.\.$/guest:         \1/p' >&2 || {
        tail -n 40 "$work/mmdebstrap.log" >&2
        fail "mmdebstrap could not make the tree"
    }
    say "$(du -sm "$work/base" | cut -f 1) MiB of files"
}

# Prints the archive's path; makes it when files it depends on have changed.
base_archive() {
    local key archive
    key=$(key_of "$here/base-tree.sh" "$here/configure-root.sh" \
        $(find "$here/overlay" -type f | LC_ALL=C sort))
    archive=$cache/base-$key.tar
    if [[ ! -f $archive ]] || ((force)); then
        make_base
        tar -C "$work/base" --numeric-owner --xattrs -cf "$work/base.tar" .
        mv "$work/base.tar" "$archive"
        rm -rf "$work/base"
    fi
    touch "$archive"
    printf '%s\n' "$archive"
}

# Runs a command in the tree, with /proc and /sys there for as long as it runs.
in_tree() {
    unshare --mount sh -ec '
        tree=$1; shift
        mount -t proc proc "$tree/proc"
        mount -t sysfs sys "$tree/sys"
        exec chroot "$tree" "$@"' sh "$tree" "$@" </dev/null
}

# unpack_tree PACKAGE...: the tree, of all that only some layouts need with these packages only.
unpack_tree() {
    local package archive purge=()
    archive=$(base_archive)
    mkdir "$tree"
    tar -C "$tree" --numeric-owner --xattrs -xf "$archive"
    kernel=$(basename "$tree"/lib/modules/*)
    for package in $layout_packages; do
        [[ " $* " == *" $package "* ]] || purge+=("$package")
    done
    in_tree env DEBIAN_FRONTEND=noninteractive \
        apt-get purge -y --auto-remove "${purge[@]}" >"$work/purge.log" 2>&1 || {
        tail -n 20 "$work/purge.log" >&2
        fail "packages that the layout does not need could not be removed"
    }
}

# make_initramfs MODULE...: an initramfs for the old platform's hardware, and these modules.
# MODULES=dep, which an installer would have chosen, looks at the machine it runs on; here a list
# stands in while the initramfs is made.
make_initramfs() {
    local config=$tree/etc/initramfs-tools
    cp "$config/modules" "$config/modules.as-installed"
    printf '%s\n' sd_mod vmw_pvscsi ata_piix crc32c_generic crc32c-intel "$@" >>"$config/modules"
    sed -i 's/^MODULES=.*/MODULES=list/; s/^COMPRESS=.*/COMPRESS=gzip/' "$config/initramfs.conf"
    in_tree update-initramfs -c -k "$kernel" >"$work/initramfs.log" 2>&1 || {
        tail -n 20 "$work/initramfs.log" >&2
        fail "the initramfs could not be made"
    }
    sed -i 's/^MODULES=.*/MODULES=dep/' "$config/initramfs.conf"
    mv "$config/modules.as-installed" "$config/modules"
}
