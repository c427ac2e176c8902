/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/align.h"
#include "base/log.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/common.h"
#include "orchestrator/version.h"

static const char help[] =
    "slipway moves virtual machines onto this node with almost no downtime.\n"
    "\n"
    "  slipway source add NAME URI [--password-file FILE|-] [--no-check]\n"
    "  slipway source list | source remove NAME\n"
    "  slipway vm list SOURCE\n"
    "  slipway migrate SOURCE/VM [OPTION…]   mirror a VM: the initial sync\n"
    "  slipway sync NAME                     copy what changed since\n"
    "  slipway status [NAME] [--watch]       how migrations are; --watch: go on telling\n"
    "  slipway cutover NAME [--instant]      stop the source, last delta, morph, flip, start\n"
    "  slipway rehearse NAME [--keep]        morph and boot a draft, isolated, and discard it\n"
    "  slipway report NAME                   bytes, rates, downtime\n"
    "  slipway diff NAME [A [B]] [--files]   what changed between two generations\n"
    "  slipway cancel NAME                   give a migration up and clean\n"
    "  slipway remove NAME                   forget a finished migration\n"
    "  slipway mount MOUNTPOINT              every VM's disks as files, see slipwayfs(8)\n"
    "  slipway engine …                      an engine by hand, see slipway engine --help\n"
    "\n"
    "Options of every verb but engine:\n"
    "  --socket PATH             slipwayd's socket (default /run/slipway/slipwayd.sock, or\n"
    "                            $SLIPWAY_SOCKET)\n"
    "  --json                    answers and errors as JSON on standard output\n"
    "  --help                    print this and exit\n"
    "  --version                 print the version and exit\n"
    "Options of source add:\n"
    "  --password-file FILE      its first line is the password; - reads standard input\n"
    "  --no-check                do not try to reach the source\n"
    "Options of migrate, sync, cutover and cancel:\n"
    "  --follow                  wait for the end, also off a terminal\n"
    "  --detach                  return at once, also on a terminal\n"
    "Options of migrate and cutover:\n"
    "  --instant                 do not wait for the last delta: the VM starts at once and what\n"
    "                            is missing is fetched from the stopped source while it runs\n"
    "Options of migrate:\n"
    "  --name NAME               of the migration and of the VM on the node (default: the VM's)\n"
    "  --pool DIR                where the targets are made: DIR/NAME/DISK.raw\n"
    "  --map-network SRC=DST     network of the source = network of the node, bridge:NAME or\n"
    "                            none; may be repeated (default: the same name)\n"
    "  --shutdown-policy POLICY  a guest that does not shut down: wait, force or fail (default)\n"
    "  --shutdown-timeout S      how many seconds it has (default 300)\n"
    "  --on-failure WHAT         a cutover that fails before the flip: restart the source\n"
    "                            (default) or keep it off\n"
    "  --no-morph                do not change the guest\n"
    "  --morph-option OPTION     of slipway-morph(8), such as dhcp or key=FILE; may be repeated\n"
    "  --accel ACCEL             kvm, tcg or auto (default)\n"
    "  --connections N           NBD connections per disk, 1 to 16\n"
    "  --boot-timeout S          how many seconds the VM has to come up (default 600)\n"
    "  --uuid UUID               of the VM on the node\n"
    "Options of rehearse:\n"
    "  --check WHAT              the verdict: agent, running, console:REGEX, or auto (default:\n"
    "                            the guest agent where there is one)\n"
    "  --timeout S               how many seconds it has to come up (default 600)\n"
    "  --keep                    leave the VM running when it came up\n"
    "  --stop                    end a rehearsal, also one that was kept\n"
    "Options of diff:\n"
    "  --state DIR               slipwayd's --state (default /var/lib/slipway)\n"
    "  --disk NAME               only this disk\n"
    "  --extents                 (or -v) where the changed bytes are\n"
    "  --fast                    what was written counts, read nothing\n"
    "  --files                   which files changed, too (with virt-diff)\n"
    "Options of status:\n"
    "  --watch                   tell what happens until interrupted\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 wrong use, 3 not found, 4 exists, 5 not possible in this\n"
    "state, 6 busy, 7 no space, 8 source or slipwayd not reached, 9 damaged, 10 cancelled\n";

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} verbs[] = {
    {"source", cli_source},
    {"vm", cli_vm},
    {"migrate", cli_migrate},
    {"sync", cli_sync},
    {"status", cli_status},
    {"cutover", cli_cutover},
    {"cancel", cli_cancel},
    {"rehearse", cli_rehearse},
    {"remove", cli_remove},
    {"report", cli_report},
    {"diff", cli_diff},
    {"mount", cli_mount},
    {"engine", cli_engine},
};

void cli_help(void)
{
    fputs(help, stdout);
}

int main(int argc, char **argv)
{
    log_open("slipway", LOG_LEVEL_WARNING);
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        cli_help();
        return argc < 2 ? EXIT_CODE_USAGE : EXIT_CODE_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("slipway " SLIPWAY_VERSION);
        return EXIT_CODE_OK;
    }
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    fprintf(stderr, "slipway: there is no verb '%s'; see slipway --help\n", argv[1]);
    return EXIT_CODE_USAGE;
}
