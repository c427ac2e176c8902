/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's network configuration: a byte for the style, one for what is wished, then the file. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/netcheck.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;

    if (size < 2 || memchr(data + 2, '\0', size - 2))
        return 0; /* tree_text() lets no NUL bytes through */
    text = str_format("%.*s", (int)(size - 2), (const char *)data + 2);
    netcheck(data[0] % NETCHECK_STYLES, data[1], text);
    free(text);
    return 0;
}
