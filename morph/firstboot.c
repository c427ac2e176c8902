/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing here may hold the boot up: systemd's unit is of Type=simple, so that multi-user.target
 * does not wait until it is through (it would for oneshot), and the others start it in the
 * background.  No unit waits for network-online.target either: what needs the network tries again
 * by itself.
 */
#include "morph/firstboot.h"

#include <string.h>

#include "base/str.h"

#define MARK "# slipway-firstboot"
#define PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nexport PATH\n"

const char firstboot_unit[] = "# Written by slipway-morph; removes itself.\n"
                              "[Unit]\n"
                              "Description=What the move to KVM left for the first boot\n"
                              "After=local-fs.target network.target\n"
                              "ConditionPathExists=" FIRSTBOOT_RUNNER "\n"
                              "\n"
                              "[Service]\n"
                              "Type=simple\n"
                              "ExecStart=/bin/sh " FIRSTBOOT_RUNNER "\n"
                              "KillMode=process\n"
                              "\n"
                              "[Install]\n"
                              "WantedBy=multi-user.target\n";

const char firstboot_script[] = "#!/sbin/openrc-run\n"
                                "# Written by slipway-morph; removes itself.\n"
                                "description=\"What the move to KVM left for the first boot\"\n"
                                "\n"
                                "depend() {\n"
                                "    need localmount\n"
                                "    after net\n"
                                "}\n"
                                "\n"
                                "start() {\n"
                                "    [ ! -f " FIRSTBOOT_RUNNER " ] ||\n"
                                "        sh " FIRSTBOOT_RUNNER " </dev/null >/dev/null 2>&1 &\n"
                                "    return 0\n"
                                "}\n";

/* A step is moved before it runs: one that ends in a reboot, or never, is not started twice. */
static const char runner_head[] = "#!/bin/sh\n"
                                  "# Written by slipway-morph: runs what the move to KVM left for "
                                  "the first boot, once, in order.\n" PATH "here=" FIRSTBOOT "\n"
                                  "umask 077\n"
                                  "mkdir -p \"$here/ran\" /var/log\n"
                                  "exec </dev/null >>/var/log/slipway-firstboot.log 2>&1\n"
                                  "umask 022\n"
                                  "for step in \"$here\"/firstboot.d/*; do\n"
                                  "    [ -f \"$step\" ] || continue\n"
                                  "    name=${step##*/}\n"
                                  "    mv \"$step\" \"$here/ran/$name\" || continue\n"
                                  "    echo \"$(date) $name begins\"\n"
                                  "    \"$here/ran/$name\"\n"
                                  "    echo \"$(date) $name ended with $?\"\n"
                                  "done\n"
                                  "rm -rf \"$here/packages\"\n"
                                  "rmdir \"$here/firstboot.d\"\n"
                                  "rm -f " FIRSTBOOT_WANTED " " FIRSTBOOT_UNIT "\n"
                                  "rm -f " FIRSTBOOT_RUNLEVEL "\n"
                                  "[ ! -e /etc/runlevels ] || rm -f " FIRSTBOOT_SCRIPT "\n";

static const char runner_tail[] = "rm -f \"$here/firstboot\"\n"
                                  "echo \"$(date) first boot is done\"\n"
                                  "exit 0\n";

char *firstboot_runner(const char *local)
{
    _cleanup_free_ char *unhook =
        local ? str_format("local=%s\n"
                           "sed '/" MARK "$/d' \"$local\" >\"$here/local\" &&\n"
                           "    cat \"$here/local\" >\"$local\"\n"
                           "rm -f \"$here/local\"\n",
                           local)
              : str_dup("");

    return str_format("%s%s%s", runner_head, unhook, runner_tail);
}

#define ENABLE                                                                                     \
    "enable() {\n"                                                                                 \
    "    if command -v systemctl >/dev/null; then\n"                                               \
    "        systemctl daemon-reload\n"                                                            \
    "        systemctl enable qemu-guest-agent.service\n"                                          \
    "        systemctl start --no-block qemu-guest-agent.service\n"                                \
    "    elif command -v rc-update >/dev/null; then\n"                                             \
    "        rc-update add qemu-guest-agent default\n"                                             \
    "        rc-service qemu-guest-agent start\n"                                                  \
    "    else\n"                                                                                   \
    "        for service in qemu-guest-agent qemu-ga; do\n"                                        \
    "            [ -e /etc/init.d/$service ] || continue\n"                                        \
    "            ! command -v chkconfig >/dev/null || chkconfig $service on\n"                     \
    "            /etc/init.d/$service start\n"                                                     \
    "        done\n"                                                                               \
    "    fi\n"                                                                                     \
    "}\n"                                                                                          \
    "have() {\n"                                                                                   \
    "    command -v qemu-ga >/dev/null\n"                                                          \
    "}\n"

const char firstboot_packages[] =
    "#!/bin/sh\n"
    "# Installs the packages that were put into " FIRSTBOOT_PACKAGES ".\n" ENABLE
    "DEBIAN_FRONTEND=noninteractive\n"
    "export DEBIAN_FRONTEND\n"
    "cd " FIRSTBOOT_PACKAGES " || exit 1\n"
    "for ending in deb rpm apk zst xz; do\n"
    "    set -- ./*.$ending\n"
    "    [ -e \"$1\" ] || continue\n"
    "    case $ending in\n"
    "    deb) dpkg -i \"$@\" || apt-get -q -y -f install ;;\n"
    "    rpm) rpm -U --replacepkgs \"$@\" || dnf -q -y install \"$@\" ||\n"
    "        yum -q -y localinstall \"$@\" ||\n"
    "        zypper --non-interactive install --allow-unsigned-rpm \"$@\" ;;\n"
    "    apk) apk add --allow-untrusted --no-network \"$@\" ||\n"
    "        apk add --allow-untrusted \"$@\" ;;\n"
    "    *) pacman -U --noconfirm --needed \"$@\" ;;\n"
    "    esac\n"
    "done\n"
    "have || exit 1\n"
    "enable\n";

/* The network may need a while: ten minutes of attempts, then the log says so. */
const char firstboot_agent[] =
    "#!/bin/sh\n"
    "# Installs the QEMU guest agent from the guest's own package sources.\n" ENABLE
    "DEBIAN_FRONTEND=noninteractive\n"
    "export DEBIAN_FRONTEND\n"
    "install() {\n"
    "    if command -v apt-get >/dev/null; then\n"
    "        apt-get -q -y update\n"
    "        apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold \\\n"
    "            install qemu-guest-agent\n"
    "    elif command -v dnf >/dev/null; then\n"
    "        dnf -q -y install qemu-guest-agent\n"
    "    elif command -v yum >/dev/null; then\n"
    "        yum -q -y install qemu-guest-agent\n"
    "    elif command -v zypper >/dev/null; then\n"
    "        zypper --non-interactive install qemu-guest-agent\n"
    "    elif command -v pacman >/dev/null; then\n"
    "        pacman -S --noconfirm --needed qemu-guest-agent ||\n"
    "            pacman -Sy --noconfirm --needed qemu-guest-agent\n"
    "    elif command -v apk >/dev/null; then\n"
    "        apk add qemu-guest-agent\n"
    "    fi\n"
    "}\n"
    "attempt=0\n"
    "until have || [ $attempt -ge 30 ]; do\n"
    "    attempt=$((attempt + 1))\n"
    "    [ $attempt -eq 1 ] || sleep 20\n"
    "    echo \"attempt $attempt\"\n"
    "    install\n"
    "done\n"
    "have || exit 1\n"
    "enable\n";

#define LINE                                                                                       \
    "[ ! -f " FIRSTBOOT_RUNNER " ] || sh " FIRSTBOOT_RUNNER " </dev/null >/dev/null 2>&1 & " MARK  \
    "\n"

char *firstboot_local(const char *text)
{
    const char *last = NULL, *at = text;
    size_t length = strlen(text);

    if (strstr(text, MARK "\n"))
        return NULL;
    for (; *at; at += strcspn(at, "\n"), at += *at == '\n')
        if (strncmp(at, "exit", 4) == 0 && (at[4] == ' ' || at[4] == '\n' || !at[4]))
            last = at;
    if (length == 0)
        return str_dup("#!/bin/sh\n" LINE);
    if (!last)
        return str_format("%s%s" LINE, text, text[length - 1] == '\n' ? "" : "\n");
    return str_format("%.*s" LINE "%s", (int)(last - text), text, last);
}
