/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/digest.h"

#include <string.h>
#include <xxhash.h>

#include "base/iszero.h"
#include "engine/io.h"

void digest_block(const void *data, size_t length, uint8_t ret_digest[DIGEST_SIZE])
{
    XXH128_canonical_t canonical;

    XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, length));
    memcpy(ret_digest, canonical.digest, DIGEST_SIZE);
    if (is_zero(ret_digest, DIGEST_SIZE))
        ret_digest[DIGEST_SIZE - 1] = 1;
}

int digests_forget(struct io *io, int fd, uint64_t blocks)
{
    return io_zero(io, fd, 0, blocks * DIGEST_SIZE, IO_ZERO_PUNCH);
}
