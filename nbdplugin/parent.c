/* SPDX-License-Identifier: Apache-2.0 */
#include "nbdplugin/parent.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "nbdplugin/cmdline.h"

void outlive_parent(void)
{
    char **argv = cmdline_read();
    bool told = false;

    if (!argv)
        return;
    for (char **word = argv; *word; word++)
        told |= strcmp(*word, "--exit-with-parent") == 0;
    if (!told)
        prctl(PR_SET_PDEATHSIG, 0);
    free(argv[0]);
    free(argv);
}
