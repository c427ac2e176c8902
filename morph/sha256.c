/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/sha256.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

static EVP_MD_CTX *begin(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    /* This and the others fail only without memory, or where OpenSSL was built without SHA-256. */
    if (!context || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
        abort();
    return context;
}

static void end(EVP_MD_CTX *context, char ret_hex[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;

    if (EVP_DigestFinal_ex(context, digest, &length) != 1)
        abort();
    EVP_MD_CTX_free(context);
    for (unsigned i = 0; i < length; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
}

static void add(EVP_MD_CTX *context, const void *data, size_t length)
{
    if (EVP_DigestUpdate(context, data, length) != 1)
        abort();
}

void sha256_hex(const void *first, size_t first_length, const void *second, size_t second_length,
                char ret_hex[65])
{
    EVP_MD_CTX *context = begin();

    add(context, first, first_length);
    add(context, second, second_length);
    end(context, ret_hex);
}

void sha256_hex_both(const void *first, size_t first_length, const void *second,
                     size_t second_length, char ret_first[65], char ret_both[65])
{
    EVP_MD_CTX *context = begin(), *both = EVP_MD_CTX_new();

    add(context, first, first_length);
    if (!both || EVP_MD_CTX_copy_ex(both, context) != 1)
        abort();
    end(context, ret_first);
    add(both, second, second_length);
    end(both, ret_both);
}
