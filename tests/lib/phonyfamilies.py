#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The families of phony Linux guests: see phonylinux.py.

FAMILIES maps a name to its phonylinux.Family.  Every one of them comes from another platform: its
initramfs lacks virtio, its files name the source's disks, and that platform's agent runs.
"""

from phonylinux import BOOT_UUID, MAC, ROOT_UUID, Family

MERGED = {"lib": "usr/lib", "bin": "usr/bin", "sbin": "usr/sbin", "lib64": "usr/lib64"}
SYSTEMD = {"usr/sbin/init": "../lib/systemd/systemd"}
UNIT = "[Unit]\nDescription=phony\n[Service]\nExecStart=/usr/bin/true\n"
WANTS = "etc/systemd/system/multi-user.target.wants"
HOMES = "/home"
PASSWD = ("root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
          f"anna:x:1000:1000:Anna,,,:{HOMES}/anna:/bin/bash\n")
SHADOW = ("root:$6$salt$abc:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n"
          "anna:$y$j9T$salt$def:19000:0:99999:7:::\n")
ACCOUNTS = {"etc/passwd": PASSWD, "etc/shadow": (SHADOW, 0o640)}


def units(directory, names, wanted=True):
    """Unit files, and the links by which they start."""
    files = {f"{directory}/{name}": UNIT for name in names}
    links = {f"{WANTS}/{name}": f"/{directory}/{name}" for name in names} if wanted else {}
    return files, links


# ── Debian, Ubuntu ───────────────────────────────────────────────────────────────────────────────

def debian12():
    version = "6.1.0-18-amd64"
    agent, links = units("usr/lib/systemd/system", ["open-vm-tools.service", "vgauth.service"])
    return Family(
        "debian12", 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\n'
        'VERSION_ID="12"\nVERSION="12 (bookworm)"\nVERSION_CODENAME=bookworm\nID=debian\n',
        version, f"boot/vmlinuz-{version}", f"boot/initrd.img-{version}", "initramfs-tools", "gzip",
        ACCOUNTS | agent | {
            "etc/debian_version": "12.5\n",
            "etc/fstab": "# /etc/fstab: static file system information.\n#\n"
                         "# <file system> <mount point>   <type>  <options>       <dump>  <pass>\n"
                         "# / was on /dev/sda2 during installation\n"
                         f"UUID={ROOT_UUID} /               ext4    errors=remount-ro 0       1\n"
                         "/dev/sda1       /boot           ext4    defaults        0       2\n"
                         "/dev/sda3       none            swap    sw              0       0\n"
                         "/dev/sdb1       /srv            ext4    defaults        0       2\n"
                         "/dev/sr0        /media/cdrom0   udf,iso9660 user,noauto     0       0\n",
            "etc/initramfs-tools/initramfs.conf": "MODULES=dep\nBUSYBOX=auto\nCOMPRESS=gzip\n",
            "etc/initramfs-tools/modules": "# List of modules that you want to include\n",
            "etc/initramfs-tools/conf.d/resume": "RESUME=/dev/sda3\n",
            "etc/default/grub": "GRUB_DEFAULT=0\nGRUB_TIMEOUT=5\n"
                                'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX=""\n',
            "boot/grub/grub.cfg": "menuentry 'Debian GNU/Linux' {\n"
                                  f"\tsearch --no-floppy --fs-uuid --set=root {BOOT_UUID}\n"
                                  f"\tlinux\t/vmlinuz-{version} root=/dev/sda2 ro  quiet\n"
                                  f"\tinitrd\t/initrd.img-{version}\n}}\n",
            "boot/grub/device.map": "(hd0)\t/dev/disk/by-id/scsi-36000c29c6a4b2\n",
            "etc/network/interfaces":
                "source /etc/network/interfaces.d/*\n\nauto lo\niface lo inet loopback\n\n"
                "allow-hotplug ens192\niface ens192 inet static\n\taddress 192.0.2.10/24\n"
                "\tgateway 192.0.2.1\n\tdns-nameservers 192.0.2.53\n",
            "etc/hostname": "debian12\n", "etc/resolv.conf": "nameserver 192.0.2.53\n",
            "etc/X11/xorg.conf": 'Section "Device"\n\tIdentifier "Card0"\n'
                                 '\tDriver "vmware"\nEndSection\n',
            "var/lib/dpkg/status": "Package: open-vm-tools\nStatus: install ok installed\n"
                                   "Version: 2:12.2.0-1\nArchitecture: amd64\n\n",
            "usr/lib/udev/rules.d/99-vmware-scsi-udev.rules": "# timeouts\n",
        }, MERGED | SYSTEMD | links)


def ubuntu2204():
    version = "5.15.0-101-generic"
    agent, links = units("usr/lib/systemd/system", ["open-vm-tools.service", "vgauth.service",
                                                    "walinuxagent.service"])
    return Family(
        "ubuntu2204", 'PRETTY_NAME="Ubuntu 22.04.4 LTS"\nNAME="Ubuntu"\nVERSION_ID="22.04"\n'
        'VERSION_CODENAME=jammy\nID=ubuntu\nID_LIKE=debian\n',
        version, f"boot/vmlinuz-{version}", f"boot/initrd.img-{version}", "initramfs-tools", "zstd",
        ACCOUNTS | agent | {
            "etc/debian_version": "bookworm/sid\n",
            "etc/fstab": "# <file system> <mount point>   <type>  <options>       <dump>  <pass>\n"
                         "/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part2 / ext4 "
                         "defaults 0 1\n"
                         f"/dev/disk/by-uuid/{BOOT_UUID} /boot ext4 defaults 0 1\n"
                         "/swap.img\tnone\tswap\tsw\t0\t0\n",
            "etc/initramfs-tools/initramfs.conf": "MODULES=most\nBUSYBOX=auto\nCOMPRESS=zstd\n",
            "etc/initramfs-tools/modules": "# List of modules that you want to include\n",
            "etc/default/grub": "GRUB_DEFAULT=0\nGRUB_TIMEOUT_STYLE=hidden\nGRUB_TIMEOUT=0\n"
                                'GRUB_CMDLINE_LINUX_DEFAULT=""\nGRUB_CMDLINE_LINUX=""\n',
            "boot/grub/grub.cfg": f"linux\t/vmlinuz-{version} root=/dev/sda2 ro\n"
                                  f"initrd\t/initrd.img-{version}\n",
            "etc/netplan/00-installer-config.yaml":
                "# This is the network config written by 'subiquity'\nnetwork:\n  ethernets:\n"
                "    ens192:\n      addresses:\n      - 192.0.2.11/24\n      nameservers:\n"
                "        addresses:\n        - 192.0.2.53\n        search: []\n      routes:\n"
                "      - to: default\n        via: 192.0.2.1\n  version: 2\n",
            "var/lib/cloud/instance/boot-finished": "1\n",
            "etc/cloud/cloud.cfg": "users:\n   - default\ndisable_root: true\n",
            "etc/hostname": "ubuntu2204\n",
            "var/lib/dpkg/status": "Package: open-vm-tools\nStatus: install ok installed\n\n",
        }, MERGED | SYSTEMD | links, builtin=("virtio", "virtio_ring", "virtio_pci", "ext4"),
        early=True, disks=1)


# ── Red Hat's family ─────────────────────────────────────────────────────────────────────────────

FILE_CONTEXTS = """\
/.*  system_u:object_r:default_t:s0
/[^/]+  --  system_u:object_r:etc_runtime_t:s0
/boot(/.*)?  system_u:object_r:boot_t:s0
/etc(/.*)?  system_u:object_r:etc_t:s0
/etc/passwd[-\\+]?  --  system_u:object_r:passwd_file_t:s0
/etc/rc\\.d/init\\.d/.*  --  system_u:object_r:initrc_exec_t:s0
/etc/rc\\.d/rc\\.local  --  system_u:object_r:initrc_exec_t:s0
/etc/shadow.*  --  system_u:object_r:shadow_t:s0
/etc/sysconfig/network-scripts(/.*)?  system_u:object_r:net_conf_t:s0
/etc/systemd/system(/.*)?  system_u:object_r:systemd_unit_file_t:s0
/root(/.*)?  system_u:object_r:admin_home_t:s0
ROOT/\\.ssh(/.*)?  system_u:object_r:ssh_home_t:s0
/usr/.*  system_u:object_r:usr_t:s0
/usr/lib/systemd/system(/.*)?  system_u:object_r:systemd_unit_file_t:s0
/var/.*  system_u:object_r:var_t:s0
/var/lib(/.*)?  system_u:object_r:var_lib_t:s0
/var/log(/.*)?  system_u:object_r:var_log_t:s0
""".replace("ROOT/", "/root" + "/")
HOMEDIRS = """\
/home  -d  system_u:object_r:home_root_t:s0
/home/[^/]+  -d  unconfined_u:object_r:user_home_dir_t:s0
/home/[^/]+/.+  unconfined_u:object_r:user_home_t:s0
/home/[^/]+/\\.ssh(/.*)?  unconfined_u:object_r:ssh_home_t:s0
"""
POLICY = "etc/selinux/targeted/contexts/files"
SELINUX = {
    "etc/selinux/config": "# This file controls the state of SELinux on the system.\n"
                          "SELINUX=enforcing\nSELINUXTYPE=targeted\n",
    f"{POLICY}/file_contexts": FILE_CONTEXTS,
    f"{POLICY}/file_contexts.homedirs": HOMEDIRS,
    f"{POLICY}/file_contexts.local": "",
    f"{POLICY}/file_contexts.subs": "",
    f"{POLICY}/file_contexts.subs_dist": "/lib /usr/lib\n/lib64 /usr/lib\n/run /var/run\n"
                                         "/etc/init.d /etc/rc.d/init.d\n/usr/local/lib /usr/lib\n",
    f"{POLICY}/file_contexts.bin": b"\x8a\xff\x7c\xf9broken on purpose: must not be loaded",
}


def release(identity, name, version, like="rhel centos fedora"):
    return (f'NAME="{name}"\nVERSION="{version}"\nID="{identity}"\nID_LIKE="{like}"\n'
            f'VERSION_ID="{version}"\nPRETTY_NAME="{name} {version}"\n')


def keyfile(name, address):
    return (f"[connection]\nid={name}\nuuid=1a8f5a9e-3f0c-3b32-a25d-0ecb2e1f7d11\ntype=ethernet\n"
            f"autoconnect-priority=-999\ninterface-name={name}\n\n[ethernet]\n\n[ipv4]\n"
            f"address1={address}/24,192.0.2.1\ndns=192.0.2.53;\nmethod=manual\n\n"
            "[ipv6]\naddr-gen-mode=eui64\nmethod=auto\n")


def ifcfg(name, address, *more):
    lines = ["TYPE=Ethernet", "PROXY_METHOD=none", "BROWSER_ONLY=no", "BOOTPROTO=none",
             "DEFROUTE=yes", f"NAME={name}", f"DEVICE={name}", "ONBOOT=yes", f"IPADDR={address}",
             "PREFIX=24", "GATEWAY=192.0.2.1", "DNS1=192.0.2.53", *more]
    return "\n".join(lines) + "\n"


def grubenv(text):
    """GRUB's environment block has exactly 1024 bytes."""
    return ("# GRUB Environment Block\n" + text).ljust(1024, "#")


def bls(version, title, root, swap):
    machine = "2f9b5a3a0b3e4c7d8f6e5d4c3b2a1908"
    return {f"boot/loader/entries/{machine}-{version}.conf":
            f"title {title} ({version})\nversion {version}\nlinux /vmlinuz-{version}\n"
            f"initrd /initramfs-{version}.img $tuned_initrd\noptions root={root} ro "
            f"crashkernel=1G-4G:192M resume={swap} rhgb quiet\n"
            "grub_users $grub_users\ngrub_arg --unrestricted\ngrub_class kernel\n",
            "etc/machine-id": machine + "\n"}


def dracut_redhat(name, os_release, version, network, agents, suffix=".ko.xz",
                  builtin=("virtio", "virtio_ring"), compression="gzip", filesystem="xfs",
                  lvm=False, with_bls=True, **more):
    """What RHEL 7 and later have in common."""
    agent, links = units("usr/lib/systemd/system", agents)
    root = "/dev/rootvg/root" if lvm else "/dev/sda2"
    mapped = "/dev/mapper/rootvg-root" if lvm else root
    swap = "/dev/mapper/rootvg-swap" if lvm else "/dev/sda3"
    files = ACCOUNTS | SELINUX | agent | network | {
        "etc/redhat-release": f"{name} phony\n",
        "etc/fstab": f"\n#\n# /etc/fstab\n# Created by anaconda\n#\n{mapped} / {filesystem} "
                     "defaults 0 0\n/dev/sda1 /boot ext4 defaults 1 2\n"
                     f"{swap} none swap defaults 0 0\n/dev/sdb1 /data {filesystem} defaults 0 0\n",
        "etc/default/grub": 'GRUB_TIMEOUT=5\nGRUB_DISTRIBUTOR="$(sed s/x/x/ /etc/system-release)"\n'
                            "GRUB_DEFAULT=saved\nGRUB_DISABLE_SUBMENU=true\n"
                            'GRUB_TERMINAL_OUTPUT="console"\n'
                            f'GRUB_CMDLINE_LINUX="crashkernel=auto resume={swap} rhgb quiet"\n'
                            + ("GRUB_ENABLE_BLSCFG=true\n" if with_bls else ""),
        "boot/grub2/device.map": "# this device map was generated by anaconda\n"
                                 "(hd0)      /dev/sda\n",
        "boot/grub2/grubenv": grubenv("saved_entry=2f9b5a3a0b3e4c7d8f6e5d4c3b2a1908"
                                      f"-{version}\nkernelopts=root={mapped} ro resume={swap} \n"),
        "etc/dracut.conf": "# PUT YOUR CONFIG IN separate files in /etc/dracut.conf.d\n",
        "etc/hostname": f"{name}\n", "etc/resolv.conf": "nameserver 192.0.2.53\n",
        "var/lib/rpm/Packages": b"phony",
    }
    if with_bls:
        files |= bls(version, name, mapped, swap)
        files["boot/grub2/grub.cfg"] = "insmod blscfg\nblscfg\n"
    else:
        files["boot/grub2/grub.cfg"] = (f"\tlinux16 /vmlinuz-{version} root={mapped} ro "
                                        f"resume={swap} rhgb quiet\n"
                                        f"\tinitrd16 /initramfs-{version}.img\n")
    return Family(name, os_release, version, f"boot/vmlinuz-{version}",
                  f"boot/initramfs-{version}.img", "dracut", compression, files,
                  MERGED | SYSTEMD | links, suffix=suffix, builtin=builtin,
                  inside=("xfs", "ext4", "vmw_pvscsi", "ahci", "sd_mod"), early=True,
                  filesystem=filesystem, root=root, lvm=lvm,
                  directories=("etc/dracut.conf.d", "boot/efi"), **more)


CONNECTION = "etc/NetworkManager/system-connections/ens192.nmconnection"
SCRIPTS = "etc/sysconfig/network-scripts"


def rocky9():
    return dracut_redhat("rocky9", release("rocky", "Rocky Linux", "9.3"),
                         "5.14.0-362.8.1.el9_3.x86_64",
                         {CONNECTION: (keyfile("ens192", "192.0.2.12"), 0o600)},
                         ["vmtoolsd.service", "vgauthd.service"],
                         builtin=("virtio", "virtio_ring", "virtio_pci"), lvm=True)


def rocky8():
    return dracut_redhat("rocky8", release("rocky", "Rocky Linux", "8.9"),
                         "4.18.0-513.5.1.el8_9.x86_64",
                         {f"{SCRIPTS}/ifcfg-ens192": ifcfg("ens192", "192.0.2.13")},
                         ["hypervkvpd.service", "hypervvssd.service", "hypervfcopyd.service"])


def centos7():
    family = dracut_redhat(
        "centos7", release("centos", "CentOS Linux", "7", "rhel fedora"),
        "3.10.0-1160.el7.x86_64",
        {f"{SCRIPTS}/ifcfg-eth0": ifcfg("eth0", "192.0.2.14", f"HWADDR={MAC.upper()}")},
        ["xe-linux-distribution.service"], builtin=(), with_bls=False)
    family.files |= {
        "etc/vmware-tools/locations": "answer BINDIR /usr/bin\n",
        "etc/rc.d/init.d/vmware-tools": ("#!/bin/sh\n# chkconfig: 235 03 99\n", 0o755),
        "etc/modprobe.d/vmware-tools.conf":
            "install pciehp /sbin/modprobe -q --ignore-install acpiphp; exit 0\n",
        "etc/modprobe.d/blacklist.conf": "# hardening\nblacklist floppy\nblacklist virtio_balloon\n"
                                         "install virtio_blk /bin/false\n",
        "etc/rc.d/rc.local": ("#!/bin/bash\ntouch /var/lock/subsys/local\n", 0o644),
    }
    family.links |= {"etc/init.d": "rc.d/init.d", "etc/rc.local": "rc.d/rc.local"}
    for level in "2345":
        family.links[f"etc/rc{level}.d"] = f"rc.d/rc{level}.d"
        family.links[f"etc/rc.d/rc{level}.d/S03vmware-tools"] = "../init.d/vmware-tools"
    return family


def centos6():
    version = "2.6.32-754.el6.x86_64"
    links = {"etc/init.d": "rc.d/init.d", "etc/rc.local": "rc.d/rc.local",
             "boot/grub/menu.lst": "./grub.conf", "etc/grub.conf": "../boot/grub/grub.conf"}
    for level in "012345":
        links[f"etc/rc{level}.d"] = f"rc.d/rc{level}.d"
    for level in "235":
        links[f"etc/rc.d/rc{level}.d/S03vmware-tools"] = "../init.d/vmware-tools"
        links[f"etc/rc.d/rc{level}.d/S90vmtoolsd"] = "../init.d/vmtoolsd"
    return Family(
        "centos6", release("centos", "CentOS", "6.10", "rhel fedora"), version,
        f"boot/vmlinuz-{version}", f"boot/initramfs-{version}.img", "dracut-old", "gzip",
        ACCOUNTS | SELINUX | {
            "etc/redhat-release": "CentOS release 6.10 (Final)\n",
            "sbin/init": "elf", "sbin/initctl": "elf", "sbin/chkconfig": "elf",
            "etc/init/rc.conf": "start on runlevel [0123456]\n",
            "etc/inittab": "id:3:initdefault:\n",
            "etc/init/vmware-tools.conf": "description \"VMware Tools\"\nstart on startup\n"
                                          "exec /etc/vmware-tools/services.sh start\n",
            "etc/vmware-tools/services.sh": "#!/bin/sh\n",
            "etc/rc.d/init.d/vmware-tools": ("#!/bin/sh\n# chkconfig: 235 03 99\n", 0o755),
            "etc/rc.d/init.d/vmtoolsd": ("#!/bin/sh\n# chkconfig: 2345 90 10\n", 0o755),
            "etc/rc.d/rc.local": ("#!/bin/sh\ntouch /var/lock/subsys/local\n", 0o755),
            "etc/fstab": "/dev/sda2 / ext4 defaults 1 1\n/dev/sda1 /boot ext4 defaults 1 2\n"
                         "/dev/sda3 swap swap defaults 0 0\n"
                         "tmpfs /dev/shm tmpfs defaults 0 0\nproc /proc proc defaults 0 0\n",
            "boot/grub/grub.conf": "default=0\ntimeout=5\nsplashimage=(hd0,0)/grub/splash.xpm.gz\n"
                                   "title CentOS 6\n\troot (hd0,0)\n"
                                   f"\tkernel /vmlinuz-{version} ro root=/dev/sda2 rhgb quiet\n"
                                   f"\tinitrd /initramfs-{version}.img\n",
            "boot/grub/device.map": "(hd0)     /dev/sda\n", "etc/dracut.conf": "# phony\n",
            "etc/sysconfig/network": "NETWORKING=yes\nHOSTNAME=centos6\n",
            f"{SCRIPTS}/ifcfg-eth0": ifcfg("eth0", "192.0.2.15", 'HWADDR="00:50:56:9A:00:01"'),
            "etc/udev/rules.d/70-persistent-net.rules":
                'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", '
                'ATTR{address}=="00:50:56:9a:00:01", ATTR{type}=="1", KERNEL=="eth*", '
                'NAME="eth0"\n',
            "etc/modprobe.d/dist.conf": "# phony\n", "var/lib/rpm/Packages": b"phony",
        }, links, inside=("ext4", "mptspi", "sd_mod"), directories=("etc/dracut.conf.d",))


def fedora():
    family = dracut_redhat("fedora", release("fedora", "Fedora Linux", "39", ""),
                           "6.6.8-200.fc39.x86_64",
                           {CONNECTION: (keyfile("ens192", "192.0.2.16"), 0o600)},
                           ["vboxservice.service"], compression="zstd",
                           builtin=("virtio", "virtio_ring", "virtio_pci", "virtio_blk"),
                           filesystem="btrfs")
    family.files["etc/fstab"] = (
        f"UUID={ROOT_UUID} / btrfs subvol=root,compress=zstd:1 0 0\n"
        "/dev/sda1 /boot ext4 defaults 1 2\n"
        f"UUID={ROOT_UUID} /home btrfs subvol=home,compress=zstd:1 0 0\n")
    return family


def oracle8():
    return dracut_redhat("oracle8", release("ol", "Oracle Linux Server", "8.9", "fedora"),
                         "5.15.0-200.131.27.el8uek.x86_64",
                         {f"{SCRIPTS}/ifcfg-ens192": ifcfg("ens192", "192.0.2.17")},
                         ["vmtoolsd.service"], lvm=True)


def alma9():
    return dracut_redhat("alma9", release("almalinux", "AlmaLinux", "9.3"),
                         "5.14.0-362.24.1.el9_3.x86_64",
                         {CONNECTION: (keyfile("ens192", "192.0.2.18"), 0o600)},
                         ["prltoolsd.service"],
                         builtin=("virtio", "virtio_ring", "virtio_pci"))


# ── SUSE ─────────────────────────────────────────────────────────────────────────────────────────

def suse(name, os_release, version, agents, compression, filesystem, fstab, suffix=".ko.xz",
         **more):
    agent, links = units("usr/lib/systemd/system", agents)
    merged = MERGED if name == "opensuse" else {}
    start = SYSTEMD if merged else {"sbin/init": "../usr/lib/systemd/systemd"}
    return Family(
        name, os_release, version, f"boot/vmlinuz-{version}", f"boot/initrd-{version}", "dracut",
        compression, ACCOUNTS | agent | {
            "etc/SuSE-release": "phony\n", "etc/fstab": fstab,
            "usr/lib/systemd/systemd": "elf",
            "etc/default/grub": 'GRUB_DISTRIBUTOR=""\nGRUB_DEFAULT=saved\nGRUB_TIMEOUT=8\n'
                                'GRUB_CMDLINE_LINUX_DEFAULT="resume=/dev/sda3 '
                                'splash=silent quiet"\n',
            "boot/grub2/grub.cfg": f"linux /boot/vmlinuz-{version} root=/dev/sda2  "
                                   "resume=/dev/sda3 splash=silent quiet\n"
                                   f"initrd /boot/initrd-{version}\n",
            "boot/grub2/device.map": "(hd0)\t/dev/sda\n",
            "etc/default/grub_installdevice": "/dev/sda\nactivate\ngeneric_mbr\n",
            "etc/sysconfig/network/ifcfg-eth0": "BOOTPROTO='static'\nIPADDR='192.0.2.20/24'\n"
                                                "STARTMODE='auto'\nNAME=''\n",
            "etc/sysconfig/network/routes": "default 192.0.2.1 - -\n",
            "etc/sysconfig/kernel": 'INITRD_MODULES=""\nMODULES_LOADED_ON_BOOT=""\n',
            "etc/hostname": name + "\n", "var/lib/rpm/Packages": b"phony",
            "etc/udev/rules.d/70-persistent-net.rules":
                'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", '
                'ATTR{address}=="00:50:56:9a:00:02", ATTR{dev_id}=="0x0", ATTR{type}=="1", '
                'KERNEL=="eth*", NAME="eth0"\n',
        }, merged | start | links, suffix=suffix, filesystem=filesystem,
        inside=("btrfs", "ext4", "xfs", "vmw_pvscsi", "ahci", "sd_mod"),
        directories=("etc/dracut.conf.d", "boot/efi"), **more)


def sles15():
    return suse("sles15", 'NAME="SLES"\nVERSION="15-SP5"\nVERSION_ID="15.5"\n'
                'PRETTY_NAME="SUSE Linux Enterprise Server 15 SP5"\nID="sles"\nID_LIKE="suse"\n',
                "5.14.21-150500.53-default", ["vmtoolsd.service", "vgauthd.service"], "xz", "xfs",
                f"UUID={ROOT_UUID} / xfs defaults 0 0\n/dev/sda1 /boot ext4 defaults 0 2\n"
                "/dev/sda3 swap swap defaults 0 0\n", builtin=("virtio", "virtio_ring"))


def sles12():
    return suse("sles12", 'NAME="SLES"\nVERSION="12-SP5"\nVERSION_ID="12.5"\n'
                'PRETTY_NAME="SUSE Linux Enterprise Server 12 SP5"\nID="sles"\n',
                "4.12.14-120-default", ["vboxadd.service", "vboxadd-service.service"], "xz", "ext4",
                "/dev/disk/by-id/scsi-SVMware_Virtual_disk-part2 / ext4 acl,user_xattr 1 1\n"
                "/dev/sda1 /boot ext4 acl 1 2\n/dev/sda3 swap swap defaults 0 0\n", suffix=".ko",
                disks=1)


def opensuse():
    subvolumes = "".join(f"UUID={ROOT_UUID} /{name} btrfs subvol=/@/{name} 0 0\n"
                         for name in ("var", "usr/local", "srv", "root", "opt", "home"))
    family = suse(
        "opensuse", 'NAME="openSUSE Leap"\nVERSION="15.5"\nID="opensuse-leap"\n'
        'ID_LIKE="suse opensuse"\nVERSION_ID="15.5"\nPRETTY_NAME="openSUSE Leap 15.5"\n',
        "5.14.21-150500.55.39-default", ["vmtoolsd.service"], "zstd", "btrfs",
        f"UUID={ROOT_UUID} / btrfs defaults 0 0\n{subvolumes}"
        f"UUID={ROOT_UUID} /.snapshots btrfs subvol=/@/.snapshots 0 0\n"
        "/dev/sda3 swap swap defaults 0 0\n", suffix=".ko.zst",
        builtin=("virtio", "virtio_ring"))
    family.files |= {"etc/snapper/configs/root": 'SUBVOLUME="/"\nFSTYPE="btrfs"\n',
                     "etc/sysconfig/snapper": 'SNAPPER_CONFIGS="root"\n',
                     ".snapshots/1/info.xml": "<snapshot><num>1</num></snapshot>\n"}
    return family


# ── Arch, Alpine ─────────────────────────────────────────────────────────────────────────────────

def arch():
    version = "6.6.8-arch1-1"
    agent, links = units("usr/lib/systemd/system", ["vmtoolsd.service",
                                                    "vmware-vmblock-fuse.service"])
    return Family(
        "arch", 'NAME="Arch Linux"\nPRETTY_NAME="Arch Linux"\nID=arch\nBUILD_ID=rolling\n',
        version, "boot/vmlinuz-linux", "boot/initramfs-linux.img", "mkinitcpio", "zstd",
        ACCOUNTS | agent | {
            "etc/fstab": f"# /dev/sda2\nUUID={ROOT_UUID}\t/\text4\trw,relatime\t0 1\n\n"
                         "/dev/sda1\t/boot\tvfat\trw,relatime\t0 2\n"
                         "/dev/sda3 none swap defaults 0 0\n",
            f"usr/lib/modules/{version}/pkgbase": "linux\n",
            f"usr/lib/modules/{version}/vmlinuz": "not a kernel\n",
            "boot/loader/loader.conf": "default arch.conf\ntimeout 3\n",
            "boot/loader/entries/arch.conf": "title   Arch Linux\nlinux   /vmlinuz-linux\n"
                                             "initrd  /initramfs-linux.img\n"
                                             "options root=/dev/sda2 rw resume=/dev/sda3\n",
            "boot/EFI/systemd/systemd-bootx64.efi": "pe", "boot/EFI/BOOT/BOOTX64.EFI": "pe",
            "etc/mkinitcpio.conf": "# vim:set ft=sh\nMODULES=()\nBINARIES=()\nFILES=()\n"
                                   "HOOKS=(base udev autodetect modconf kms keyboard keymap "
                                   "consolefont block filesystems fsck)\n",
            "etc/mkinitcpio.d/linux.preset":
                "ALL_config=\"/etc/mkinitcpio.conf\"\nALL_kver=\"/boot/vmlinuz-linux\"\n"
                "PRESETS=('default')\ndefault_image=\"/boot/initramfs-linux.img\"\n",
            "etc/systemd/network/20-wired.network":
                "[Match]\nName=ens192\n\n[Network]\nAddress=192.0.2.21/24\nGateway=192.0.2.1\n"
                "DNS=192.0.2.53\n",
            "etc/hostname": "arch\n",
            "var/lib/pacman/local/open-vm-tools-6:12.3.5-1/desc": "%NAME%\nopen-vm-tools\n",
        }, MERGED | {"sbin": "usr/bin", "usr/bin/init": "../lib/systemd/systemd"} | links,
        suffix=".ko.zst", builtin=("virtio", "virtio_ring"), uefi=True)


def alpine():
    version = "6.6.7-0-lts"
    return Family(
        "alpine", 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.19.0\n'
        'PRETTY_NAME="Alpine Linux v3.19"\n',
        version, "boot/vmlinuz-lts", "boot/initramfs-lts", "mkinitfs", "gzip",
        ACCOUNTS | {
            "etc/alpine-release": "3.19.0\n", "sbin/openrc": "elf", "bin/busybox": "elf",
            "etc/fstab": "/dev/sda2\t/\text4\trw,relatime 0 1\n/dev/sda1\t/boot\text4\trw 0 2\n"
                         "/dev/sda3\tswap\tswap\tdefaults\t0 0\n"
                         "/dev/cdrom\t/media/cdrom\tiso9660\tnoauto,ro 0 0\n",
            f"lib/modules/{version}/kernel-suffix": "lts\n",
            "etc/mkinitfs/mkinitfs.conf": 'features="ata base ide scsi usb ext4"\n',
            "etc/mkinitfs/features.d/virtio.modules": "kernel/drivers/block/virtio_blk.ko\n",
            "etc/update-extlinux.conf": "overwrite=1\nvesa_menu=0\nroot=/dev/sda2\n"
                                        "modules=sd-mod,ext4\ndefault_kernel_opts=\"quiet\"\n",
            "boot/extlinux.conf": "DEFAULT menu.c32\nLABEL lts\n  MENU LABEL Linux lts\n"
                                  "  LINUX vmlinuz-lts\n  INITRD initramfs-lts\n"
                                  "  APPEND root=/dev/sda2 modules=sd-mod,ext4 quiet "
                                  "rootfstype=ext4\n",
            "etc/network/interfaces": "auto lo\niface lo inet loopback\n\nauto eth0\n"
                                      "iface eth0 inet static\n\taddress 192.0.2.22/24\n"
                                      "\tgateway 192.0.2.1\n",
            "etc/init.d/open-vm-tools": ("#!/sbin/openrc-run\n", 0o755),
            "etc/init.d/sshd": ("#!/sbin/openrc-run\n", 0o755),
            "etc/hostname": "alpine\n", "lib/apk/db/installed": "P:open-vm-tools\nV:12.3.5-r0\n\n",
        }, {"sbin/init": "/bin/busybox",
            "etc/runlevels/default/open-vm-tools": "/etc/init.d/open-vm-tools",
            "etc/runlevels/default/sshd": "/etc/init.d/sshd"}, suffix=".ko.gz")


FAMILIES = {family.name: family for family in (
    debian12(), ubuntu2204(), rocky9(), rocky8(), centos7(), centos6(), fedora(), oracle8(),
    alma9(), sles15(), sles12(), opensuse(), arch(), alpine())}
