/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/attest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fdio.h"
#include "base/iszero.h"
#include "base/str.h"
#include "engine/format.h"

#define KEY_FILE_MAX (64 << 10)

static void key_freep(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static void bio_freep(BIO **bio)
{
    BIO_free(*bio);
}

static void digest_freep(EVP_MD_CTX **context)
{
    EVP_MD_CTX_free(*context);
}

#define _cleanup_key_ _cleanup_(key_freep)
#define _cleanup_bio_ _cleanup_(bio_freep)
#define _cleanup_digest_ _cleanup_(digest_freep)

/* ---- the tree ---- */

static int hash(uint8_t kind, const void *data, size_t length, uint8_t ret_hash[ATTEST_HASH])
{
    _cleanup_digest_ EVP_MD_CTX *c = EVP_MD_CTX_new();

    return c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1 &&
                   EVP_DigestUpdate(c, &kind, 1) == 1 && EVP_DigestUpdate(c, data, length) == 1 &&
                   EVP_DigestFinal_ex(c, ret_hash, NULL) == 1
               ? 0
               : -EIO;
}

static int hash_node(const uint8_t left[ATTEST_HASH], const uint8_t right[ATTEST_HASH],
                     uint8_t ret_hash[ATTEST_HASH])
{
    uint8_t pair[2 * ATTEST_HASH];

    memcpy(pair, left, ATTEST_HASH);
    memcpy(pair + ATTEST_HASH, right, ATTEST_HASH);
    return hash(1, pair, sizeof(pair), ret_hash);
}

/* Most blocks of most disks are zero. */
static int hash_leaf(struct attest_tree *t, const void *data, size_t length,
                     uint8_t ret_hash[ATTEST_HASH])
{
    bool zero = length == BLOCK_SIZE && is_zero(data, length);
    int r;

    if (zero && t->zero_known) {
        memcpy(ret_hash, t->zero_leaf, ATTEST_HASH);
        return 0;
    }
    r = hash(0, data, length, ret_hash);
    if (r == 0 && zero) {
        memcpy(t->zero_leaf, ret_hash, ATTEST_HASH);
        t->zero_known = true;
    }
    return r;
}

int attest_tree_add(struct attest_tree *t, const void *data, size_t length)
{
    int r = hash_leaf(t, data, length, t->hashes[t->count]);

    if (r < 0)
        return r;
    t->levels[t->count++] = 0;
    while (r == 0 && t->count > 1 && t->levels[t->count - 1] == t->levels[t->count - 2]) {
        t->count--;
        r = hash_node(t->hashes[t->count - 1], t->hashes[t->count], t->hashes[t->count - 1]);
        t->levels[t->count - 1]++;
    }
    return r;
}

int attest_tree_root(const struct attest_tree *t, uint8_t ret_root[ATTEST_HASH])
{
    int r = 0;

    if (t->count == 0)
        return -EINVAL;
    memcpy(ret_root, t->hashes[t->count - 1], ATTEST_HASH);
    for (unsigned i = t->count - 1; r == 0 && i-- > 0;)
        r = hash_node(t->hashes[i], ret_root, ret_root);
    return r;
}

/* ---- keys ---- */

static int write_pem(const char *path, mode_t mode, BIO *bio, struct error **err)
{
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    char *text;
    long length = BIO_get_mem_data(bio, &text);
    int r;

    if (fd < 0)
        return error_set_errno(err, errno, "cannot make the key file %s", path);
    r = fdio_write_all(fd, text, (size_t)length);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (r == 0)
        return 0;
    unlink(path);
    return error_set_errno(err, -r, "cannot write the key file %s", path);
}

int attest_key_create(const char *path, struct error **err)
{
    _cleanup_key_ EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    _cleanup_bio_ BIO *private = BIO_new(BIO_s_secmem());
    _cleanup_bio_ BIO *public = BIO_new(BIO_s_mem());
    _cleanup_free_ char *public_path = str_format("%s.pub", path);
    int r;

    if (!key || !private || !public ||
        PEM_write_bio_PrivateKey(private, key, NULL, NULL, 0, NULL, NULL) != 1 ||
        PEM_write_bio_PUBKEY(public, key) != 1)
        return error_set(err, EIO, "OpenSSL could not make an Ed25519 key");
    r = write_pem(path, 0600, private, err);
    if (r < 0)
        return r;
    r = write_pem(public_path, 0644, public, err);
    if (r < 0)
        unlink(path);
    return r;
}

/* A key with a passphrase is refused instead of asking on a terminal that is not ours. */
static int no_passphrase(char *text, int size, int writing, void *context)
{
    return -1;
}

static int check_private_mode(const char *path, struct error **err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return error_set_errno(err, errno, "cannot read the key file %s", path);
    if (st.st_mode & 077)
        return error_set(err, EPERM, "others can read the private key %s; 'chmod 600' it", path);
    return 0;
}

static int read_key(const char *path, bool private, EVP_PKEY **ret_key, struct error **err)
{
    _cleanup_bio_ BIO *bio = NULL;
    _cleanup_free_ char *text = NULL;
    EVP_PKEY *key = NULL;
    size_t length = 0;
    int r = fdio_read_file(path, KEY_FILE_MAX, &text, &length);

    if (r < 0)
        return error_set_errno(err, -r, "cannot read the key file %s", path);
    bio = BIO_new_mem_buf(text, (int)length);
    if (bio && !private)
        key = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
    if (bio && !key && BIO_reset(bio) >= 0)
        key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    explicit_bzero(text, length);
    if (!key || EVP_PKEY_get_id(key) != EVP_PKEY_ED25519) {
        EVP_PKEY_free(key);
        return error_set(err, EINVAL, "%s holds no Ed25519 %s key in PEM form without a "
                                      "passphrase; make one with 'slipway engine manifest-key'",
                         path, private ? "private" : "public");
    }
    *ret_key = key;
    return 0;
}

int attest_key_public(const char *path, uint8_t ret_public[ATTEST_PUBLIC], struct error **err)
{
    _cleanup_key_ EVP_PKEY *key = NULL;
    size_t length = ATTEST_PUBLIC;
    int r = read_key(path, false, &key, err);

    if (r < 0)
        return r;
    if (EVP_PKEY_get_raw_public_key(key, ret_public, &length) != 1 || length != ATTEST_PUBLIC)
        return error_set(err, EIO, "OpenSSL cannot tell the public key in %s", path);
    return 0;
}

int attest_sign(const char *path, const void *data, size_t length,
                uint8_t ret_signature[ATTEST_SIGNATURE], struct error **err)
{
    _cleanup_key_ EVP_PKEY *key = NULL;
    _cleanup_digest_ EVP_MD_CTX *c = EVP_MD_CTX_new();
    size_t size = ATTEST_SIGNATURE;
    int r = check_private_mode(path, err);

    if (r == 0)
        r = read_key(path, true, &key, err);
    if (r < 0)
        return r;
    if (!c || EVP_DigestSignInit(c, NULL, NULL, NULL, key) != 1 ||
        EVP_DigestSign(c, ret_signature, &size, data, length) != 1 || size != ATTEST_SIGNATURE)
        return error_set(err, EIO, "OpenSSL cannot sign with the key %s", path);
    return 0;
}

int attest_check(const uint8_t public[ATTEST_PUBLIC], const void *data, size_t length,
                 const uint8_t signature[ATTEST_SIGNATURE])
{
    _cleanup_key_ EVP_PKEY *key =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public, ATTEST_PUBLIC);
    _cleanup_digest_ EVP_MD_CTX *c = EVP_MD_CTX_new();

    return key && c && EVP_DigestVerifyInit(c, NULL, NULL, NULL, key) == 1 &&
                   EVP_DigestVerify(c, signature, ATTEST_SIGNATURE, data, length) == 1
               ? 0
               : -EBADMSG;
}
