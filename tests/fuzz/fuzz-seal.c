/* SPDX-License-Identifier: Apache-2.0 */
/* A file that pretends to be a sealed secret, and a text that is sealed and opened again. */
#include <string.h>

#include "base/str.h"
#include "orchestrator/seal.h"
#include "tests/fuzz/fuzz.h"

static void round_trip(const struct seal_key *key, const uint8_t *text, size_t length)
{
    uint8_t *sealed = NULL;
    size_t sealed_length = 0;
    char *opened = NULL;
    int r = seal_close(key, "name", (const char *)text, length, &sealed, &sealed_length, NULL);

    FUZZ_ASSERT((r == 0) == (length <= SEAL_TEXT_MAX));
    if (r < 0)
        return;
    FUZZ_ASSERT(seal_open(key, "name", sealed, sealed_length, &opened, NULL) == 0);
    FUZZ_ASSERT(memcmp(opened, text, length) == 0 && opened[length] == '\0');
    seal_text_free(opened);
    free(sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t bytes[SEAL_KEY_BYTES] = {1, 2, 3};
    struct error *err = NULL;
    struct seal_key key;
    uint8_t id[SEAL_ID_BYTES];
    char *text = NULL;
    int known, r;

    FUZZ_ASSERT(seal_key_init(&key, bytes, NULL) == 0);
    known = seal_key_id(data, size, id, NULL);
    r = seal_open(&key, "name", data, size, &text, &err);
    FUZZ_ASSERT(r == 0 ? text && !err : err && !text);
    FUZZ_ASSERT(known == 0 || r == known);
    error_free(err);
    seal_text_free(text);
    round_trip(&key, data, size);
    return 0;
}
