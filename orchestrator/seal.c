/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <string.h>

#include "base/str.h"

#define MAGIC "SWSE"
#define VERSION 1
#define NONCE_BYTES 12
#define TAG_BYTES 16

/* The file; what stands before the tag is authenticated. */
struct head {
    char magic[4];
    uint8_t version;
    uint8_t zero[3];
    uint8_t key_id[SEAL_ID_BYTES];
    uint8_t nonce[NONCE_BYTES];
    uint8_t tag[TAG_BYTES];
};
_Static_assert(sizeof(struct head) == SEAL_HEAD_BYTES, "no gaps");
#define AUTHENTIC offsetof(struct head, tag)

static int crypto_failed(struct error **err)
{
    return error_set(err, EIO, "OpenSSL does not encrypt here: is AES-256-GCM switched off?");
}

int seal_key_init(struct seal_key *key, const uint8_t bytes[SEAL_KEY_BYTES], struct error **err)
{
    static const char purpose[] = "slipway key id";
    uint8_t both[sizeof(purpose) + SEAL_KEY_BYTES], digest[EVP_MAX_MD_SIZE];
    unsigned length = sizeof(digest);
    int ok;

    memcpy(both, purpose, sizeof(purpose));
    memcpy(both + sizeof(purpose), bytes, SEAL_KEY_BYTES);
    ok = EVP_Digest(both, sizeof(both), digest, &length, EVP_sha256(), NULL);
    OPENSSL_cleanse(both, sizeof(both));
    if (ok != 1)
        return crypto_failed(err);
    memcpy(key->bytes, bytes, SEAL_KEY_BYTES);
    memcpy(key->id, digest, SEAL_ID_BYTES);
    return 0;
}

int seal_key_make(struct seal_key *ret_key, struct error **err)
{
    uint8_t bytes[SEAL_KEY_BYTES];
    int r = RAND_priv_bytes(bytes, sizeof(bytes)) == 1 ? seal_key_init(ret_key, bytes, err)
                                                        : crypto_failed(err);

    OPENSSL_cleanse(bytes, sizeof(bytes));
    return r;
}

/* The cipher with key, nonce and what is authenticated besides; NULL when OpenSSL will not. */
static EVP_CIPHER_CTX *cipher_begin(const struct seal_key *key, const struct head *head,
                                    const char *name, int encrypt)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n;

    if (c && EVP_CipherInit_ex2(c, EVP_aes_256_gcm(), key->bytes, head->nonce, encrypt, NULL) &&
        EVP_CipherUpdate(c, NULL, &n, (const uint8_t *)head, AUTHENTIC) &&
        EVP_CipherUpdate(c, NULL, &n, (const uint8_t *)name, (int)strlen(name)))
        return c;
    EVP_CIPHER_CTX_free(c);
    return NULL;
}

/* GCM is a stream: as many bytes come out as go in. */
static bool cipher_run(EVP_CIPHER_CTX *c, const uint8_t *from, size_t length, uint8_t *to)
{
    int n = 0, rest = 0;

    if (length && !EVP_CipherUpdate(c, to, &n, from, (int)length))
        return false;
    return EVP_CipherFinal_ex(c, to + n, &rest) == 1 && (size_t)n == length && rest == 0;
}

static bool encrypt(const struct seal_key *key, const char *name, const char *text, size_t length,
                    uint8_t *data)
{
    struct head *head = (struct head *)data;
    EVP_CIPHER_CTX *c;
    bool good;

    memcpy(head->magic, MAGIC, sizeof(head->magic));
    head->version = VERSION;
    memcpy(head->key_id, key->id, sizeof(head->key_id));
    if (RAND_bytes(head->nonce, sizeof(head->nonce)) != 1)
        return false;
    c = cipher_begin(key, head, name, 1);
    good = c && cipher_run(c, (const uint8_t *)text, length, data + sizeof(*head)) &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, head->tag) == 1;
    EVP_CIPHER_CTX_free(c);
    return good;
}

int seal_close(const struct seal_key *key, const char *name, const char *text, size_t length,
               uint8_t **ret_data, size_t *ret_length, struct error **err)
{
    uint8_t *data;

    if (length > SEAL_TEXT_MAX)
        return error_set(err, E2BIG, "a secret has at most %d bytes, not %zu", SEAL_TEXT_MAX,
                         length);
    data = mem_new(1, SEAL_HEAD_BYTES + length);
    if (!encrypt(key, name, text, length, data)) {
        free(data);
        return crypto_failed(err);
    }
    *ret_data = data;
    *ret_length = SEAL_HEAD_BYTES + length;
    return 0;
}

int seal_key_id(const uint8_t *data, size_t length, uint8_t ret_id[SEAL_ID_BYTES],
                struct error **err)
{
    static const uint8_t zero[3];
    struct head head;

    if (length < sizeof(head) || length > SEAL_BYTES_MAX)
        return error_set(err, EBADMSG, "it is damaged: it has %zu bytes", length);
    memcpy(&head, data, sizeof(head));
    if (memcmp(head.magic, MAGIC, sizeof(head.magic)) != 0)
        return error_set(err, EBADMSG, "it is damaged: it does not begin with " MAGIC);
    if (head.version != VERSION)
        return error_set(err, head.version > VERSION ? EPROTO : EBADMSG,
                         "it has format %u, this slipwayd knows %d", head.version, VERSION);
    if (memcmp(head.zero, zero, sizeof(zero)) != 0)
        return error_set(err, EBADMSG, "it is damaged: its head is wrong");
    memcpy(ret_id, head.key_id, SEAL_ID_BYTES);
    return 0;
}

int seal_open(const struct seal_key *key, const char *name, const uint8_t *data, size_t length,
              char **ret_text, struct error **err)
{
    uint8_t id[SEAL_ID_BYTES];
    int r = seal_key_id(data, length, id, err);
    struct head head;
    EVP_CIPHER_CTX *c;
    char *text;
    bool good;

    if (r < 0)
        return r;
    if (memcmp(id, key->id, sizeof(id)) != 0)
        return error_set(err, EKEYREJECTED, "it is encrypted with another key");
    memcpy(&head, data, sizeof(head));
    text = mem_new(1, length - sizeof(head) + 1);
    c = cipher_begin(key, &head, name, 0);
    good = c && EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, head.tag) == 1 &&
           cipher_run(c, data + sizeof(head), length - sizeof(head), (uint8_t *)text);
    EVP_CIPHER_CTX_free(c);
    if (!good) {
        OPENSSL_cleanse(text, length - sizeof(head));
        free(text);
        return error_set(err, EBADMSG, "it is damaged, or of another name");
    }
    *ret_text = text;
    return 0;
}

void seal_text_free(char *text)
{
    if (text)
        OPENSSL_cleanse(text, strlen(text));
    free(text);
}
