/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/sha256.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

void sha256_hex(const void *first, size_t first_length, const void *second, size_t second_length,
                char ret_hex[65])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;

    /* These fail only without memory, or where OpenSSL was built without SHA-256. */
    if (!context || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1 ||
        EVP_DigestUpdate(context, first, first_length) != 1 ||
        EVP_DigestUpdate(context, second, second_length) != 1 ||
        EVP_DigestFinal_ex(context, digest, &length) != 1)
        abort();
    EVP_MD_CTX_free(context);
    for (unsigned i = 0; i < length; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
}
