/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target is one file with this function.  With -Dfuzz=true (clang) libFuzzer drives it;
 * otherwise fuzz-main.c replays the corpus as an ordinary test.
 *
 * The property of all of them: whatever the bytes, the engine either refuses with a sentence or
 * holds something that is consistent in itself; it never crashes and never guesses.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_ASSERT(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            __builtin_trap();                                                                      \
        }                                                                                          \
    } while (0)
