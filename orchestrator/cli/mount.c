/* SPDX-License-Identifier: Apache-2.0 */
/* slipway mount: becomes slipwayfs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/cli/cli.h"
#include "orchestrator/programs.h"

static int run(int argc, char **argv)
{
    char *program = program_path("slipwayfs");

    argv[0] = program;
    execv(program, argv);
    fprintf(stderr, "slipway: cannot run %s: %s; is slipwayfs installed?\n", program,
            strerror(errno));
    free(program);
    return EXIT_CODE_FAILED;
}

const struct cli_verb verb_mount = {
    "mount", "MOUNTPOINT", 1, 1, "every VM's disks as files, see slipwayfs(8)", run, NULL,
    CLI_FOREIGN, "@folder"};
