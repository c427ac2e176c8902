/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/wait.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "morph/interrupt.h"

#define LINE_MAX_BYTES 64
#define LOOK_MS 200 /* a signal handler cannot wake a read that is restarted */

/* One byte of standard input: 1, 0 at its end, or -errno. */
static int next_byte(char *ret_byte)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    ssize_t n;

    while (!interrupt_came()) {
        int r = poll(&input, 1, LOOK_MS);

        if (r == 0 || (r < 0 && errno == EINTR))
            continue;
        n = r < 0 ? -1 : read(STDIN_FILENO, ret_byte, 1);
        return n < 0 ? -errno : (int)n;
    }
    return -ECANCELED;
}

int wait_for_go(struct error **err)
{
    char line[LINE_MAX_BYTES + 1];
    size_t length = 0;
    int r;

    while ((r = next_byte(&line[length])) > 0 && line[length] != '\n' && length < LINE_MAX_BYTES)
        length++;
    if (r <= 0)
        return error_set(err, ECANCELED, "standard input ended before it said that the disks are "
                                         "ready (the line 'go')");
    line[length] = '\0';
    if (strcmp(line, "go") == 0)
        return 0;
    return error_set(err, EINVAL, "standard input said '%s'; --wait takes the line 'go'", line);
}
