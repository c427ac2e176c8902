/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target on every file of the corpus folder that is given. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX (4 << 20)

int main(int argc, char **argv)
{
    unsigned count = 0;
    struct dirent *e;
    DIR *dir;

    if (argc != 2 || !(dir = opendir(argv[1]))) {
        fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
        return 2;
    }
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    while ((e = readdir(dir))) {
        _cleanup_free_ char *path = str_format("%s/%s", argv[1], e->d_name);
        _cleanup_free_ char *bytes = NULL;
        size_t length = 0;

        if (e->d_name[0] == '.' || fdio_read_file(path, INPUT_MAX, &bytes, &length) < 0)
            continue;
        fprintf(stderr, "%s\n", e->d_name); /* names the one that fails */
        LLVMFuzzerTestOneInput((const uint8_t *)bytes, length);
        count++;
    }
    closedir(dir);
    printf("%u inputs\n", count);
    return count == 0;
}
