/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/str.h"
#include "orchestrator/logkind.h"

#define FILE_COUNT 4
#define CHUNK 16384
#define NAME_BYTES_MAX 256

struct tls {
    struct tls_files files;
    pthread_mutex_t lock; /* guards what follows */
    SSL_CTX *ctx;
    struct timespec changed[FILE_COUNT]; /* as they were when ctx was made */
};

struct tls_link {
    SSL *ssl;
};

/* The sentence of OpenSSL's newest error, which is forgotten. */
static const char *ssl_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    ERR_clear_error();
    return reason ? reason : "it cannot be read";
}

static int file_wrong(struct error **err, const char *what, const char *path)
{
    return error_set(err, EINVAL, "%s %s cannot be used: %s", what, path, ssl_reason());
}

static int key_check(const char *path, struct error **err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return error_set_errno(err, errno, "cannot read the TLS key %s", path);
    if (st.st_mode & S_IRWXO)
        return error_set(err, EINVAL, "the TLS key %s is open to everybody: chmod 600 it, and "
                         "think of making a new one", path);
    return 0;
}

static int crl_load(SSL_CTX *ctx, const char *path, struct error **err)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());

    if (!lookup || X509_load_crl_file(lookup, path, X509_FILETYPE_PEM) <= 0)
        return file_wrong(err, "the list of revoked certificates", path);
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    return 0;
}

static int ctx_fill(SSL_CTX *ctx, const struct tls_files *f, struct error **err)
{
    int r = key_check(f->key, err);

    if (r < 0)
        return r;
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    if (SSL_CTX_use_certificate_chain_file(ctx, f->cert) <= 0)
        return file_wrong(err, "the TLS certificate", f->cert);
    if (SSL_CTX_use_PrivateKey_file(ctx, f->key, SSL_FILETYPE_PEM) <= 0 ||
        SSL_CTX_check_private_key(ctx) <= 0)
        return file_wrong(err, "the TLS key", f->key);
    if (SSL_CTX_load_verify_file(ctx, f->ca) <= 0)
        return file_wrong(err, "the CA's certificate", f->ca);
    SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(f->ca));
    return f->crl ? crl_load(ctx, f->crl, err) : 0;
}

static int ctx_make(const struct tls_files *files, SSL_CTX **ret_ctx, struct error **err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    int r = ctx ? ctx_fill(ctx, files, err) : error_set_errno(err, ENOMEM, "cannot use TLS");

    if (r < 0)
        SSL_CTX_free(ctx);
    else
        *ret_ctx = ctx;
    return r;
}

static void changed_get(const struct tls_files *f, struct timespec *ret_changed)
{
    const char *const paths[FILE_COUNT] = {f->cert, f->key, f->ca, f->crl};

    memset(ret_changed, 0, FILE_COUNT * sizeof(*ret_changed));
    for (size_t i = 0; i < FILE_COUNT; i++) {
        struct stat st;

        if (paths[i] && stat(paths[i], &st) == 0)
            ret_changed[i] = st.st_ctim;
    }
}

int tls_open(const struct tls_files *files, struct tls **ret_tls, struct error **err)
{
    struct tls *tls = mem_new(1, sizeof(*tls));
    int r;

    tls->files = *files;
    pthread_mutex_init(&tls->lock, NULL);
    changed_get(files, tls->changed);
    r = ctx_make(files, &tls->ctx, err);
    if (r < 0)
        tls_close(tls);
    else
        *ret_tls = tls;
    return r;
}

struct tls *tls_close(struct tls *tls)
{
    if (!tls)
        return NULL;
    SSL_CTX_free(tls->ctx);
    pthread_mutex_destroy(&tls->lock);
    free(tls);
    return NULL;
}

/* Files that have become wrong are told once; what was read before goes on counting. */
static void refresh_locked(struct tls *tls)
{
    _cleanup_error_ struct error *err = NULL;
    struct timespec now[FILE_COUNT];
    SSL_CTX *ctx;

    changed_get(&tls->files, now);
    if (memcmp(now, tls->changed, sizeof(now)) == 0)
        return;
    memcpy(tls->changed, now, sizeof(now));
    if (ctx_make(&tls->files, &ctx, &err) < 0) {
        log_about(LOG_LEVEL_ERROR, LOG_KIND_TLS, NULL, NULL,
                  "TLS goes on with the files as they were: %s", error_text(err));
        return;
    }
    SSL_CTX_free(tls->ctx);
    tls->ctx = ctx;
    log_about(LOG_LEVEL_INFO, LOG_KIND_TLS, NULL, NULL, "TLS uses the files as they are now");
}

/* Waits for what OpenSSL wants; false: not in time, or there is nothing to wait for. */
static bool wait_wanted(int fd, int wanted, uint64_t until_ns)
{
    struct pollfd p = {.fd = fd, .events = wanted == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN};
    uint64_t now = clock_now_ns();

    if (wanted != SSL_ERROR_WANT_READ && wanted != SSL_ERROR_WANT_WRITE)
        return false;
    return now < until_ns && poll(&p, 1, (int)((until_ns - now) / NS_PER_MS) + 1) > 0;
}

static int handshake_failed(SSL *ssl, int wanted, struct error **err)
{
    long verdict = SSL_get_verify_result(ssl);
    unsigned long code = ERR_peek_last_error();

    if (wanted == SSL_ERROR_WANT_READ || wanted == SSL_ERROR_WANT_WRITE)
        return error_set(err, ETIMEDOUT, "it did not shake hands in time");
    if (verdict != X509_V_OK) {
        ERR_clear_error();
        return error_set(err, EACCES, "its certificate is refused: %s",
                         X509_verify_cert_error_string(verdict));
    }
    if (ERR_GET_REASON(code) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
        ERR_clear_error();
        return error_set(err, EACCES, "it has shown no certificate");
    }
    return error_set(err, EPROTO, "no TLS came about: %s", code ? ssl_reason() : "it hung up");
}

int tls_accept(struct tls *tls, int fd, uint64_t timeout_ns, struct tls_link **ret_link,
               struct error **err)
{
    uint64_t until = clock_now_ns() + timeout_ns;
    struct tls_link *link;
    int r, wanted;
    SSL *ssl;

    pthread_mutex_lock(&tls->lock);
    refresh_locked(tls);
    ssl = SSL_new(tls->ctx);
    pthread_mutex_unlock(&tls->lock);
    if (!ssl || fdio_set_nonblock(fd, true) < 0 || SSL_set_fd(ssl, fd) <= 0) {
        SSL_free(ssl);
        return error_set_errno(err, ENOMEM, "cannot begin TLS");
    }
    do {
        ERR_clear_error();
        r = SSL_accept(ssl);
        wanted = r > 0 ? 0 : SSL_get_error(ssl, r);
    } while (r <= 0 && wait_wanted(fd, wanted, until));
    if (r <= 0) {
        r = handshake_failed(ssl, wanted, err);
        SSL_free(ssl);
        return r;
    }
    link = mem_new(1, sizeof(*link));
    link->ssl = ssl;
    *ret_link = link;
    return 0;
}

/* A name that is not plain text (a NUL inside could pass for another one) is passed over. */
static int name_tell(const ASN1_STRING *string, int (*fn)(void *, const char *), void *context)
{
    unsigned char *text = NULL;
    int length = ASN1_STRING_to_UTF8(&text, string), r = 0;
    bool plain = length > 0 && length < NAME_BYTES_MAX;

    for (int i = 0; plain && i < length; i++)
        plain = text[i] > ' ' && text[i] < 0x7f;
    if (plain)
        r = fn(context, (const char *)text);
    OPENSSL_free(text);
    return r;
}

static int common_names(X509 *cert, int (*fn)(void *, const char *), void *context)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    int r = 0;

    for (int i = -1; r == 0 && (i = X509_NAME_get_index_by_NID(subject, NID_commonName, i)) >= 0;)
        r = name_tell(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)), fn, context);
    return r;
}

static int alternative_names(X509 *cert, int (*fn)(void *, const char *), void *context)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int r = 0;

    for (int i = 0; r == 0 && i < sk_GENERAL_NAME_num(names); i++) {
        int type;
        const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);

        if (type == GEN_DNS || type == GEN_EMAIL || type == GEN_URI)
            r = name_tell(value, fn, context);
    }
    GENERAL_NAMES_free(names);
    return r;
}

int tls_link_names(const struct tls_link *link, int (*fn)(void *context, const char *name),
                   void *context)
{
    X509 *cert = SSL_get0_peer_certificate(link->ssl);
    int r = cert ? common_names(cert, fn, context) : 0;

    return r == 0 && cert ? alternative_names(cert, fn, context) : r;
}

/* ---- relay ---- */

/* Bytes on their way in one direction. */
struct flow {
    char data[CHUNK];
    size_t begin, end;
    bool ended; /* nothing more comes in */
};

struct relay {
    SSL *ssl;
    int tls_fd, plain_fd;
    struct flow in, out; /* in: from the link to the socket */
    short tls_events;    /* what OpenSSL waits for */
    bool broken;
};

/* True when bytes moved. */
static bool from_tls(struct relay *r)
{
    size_t n = 0;
    int result;

    if (r->in.end > r->in.begin || r->in.ended)
        return false;
    ERR_clear_error();
    result = SSL_read_ex(r->ssl, r->in.data, CHUNK, &n);
    r->in.begin = 0;
    r->in.end = n;
    if (result > 0)
        return true;
    result = SSL_get_error(r->ssl, result);
    r->tls_events |= result == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN;
    if (result != SSL_ERROR_WANT_READ && result != SSL_ERROR_WANT_WRITE)
        r->in.ended = true;
    return false;
}

static bool to_tls(struct relay *r)
{
    size_t n = 0;
    int result;

    if (r->out.end == r->out.begin)
        return false;
    ERR_clear_error();
    result = SSL_write_ex(r->ssl, r->out.data + r->out.begin, r->out.end - r->out.begin, &n);
    r->out.begin += n;
    if (result > 0)
        return true;
    result = SSL_get_error(r->ssl, result);
    r->tls_events |= result == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
    if (result != SSL_ERROR_WANT_READ && result != SSL_ERROR_WANT_WRITE)
        r->broken = true;
    return false;
}

static bool from_plain(struct relay *r)
{
    ssize_t n;

    if (r->out.end > r->out.begin || r->out.ended)
        return false;
    n = recv(r->plain_fd, r->out.data, CHUNK, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        r->out.ended = true;
    if (n <= 0)
        return false;
    r->out.begin = 0;
    r->out.end = (size_t)n;
    return true;
}

static bool to_plain(struct relay *r)
{
    ssize_t n;

    if (r->in.end == r->in.begin)
        return false;
    n = send(r->plain_fd, r->in.data + r->in.begin, r->in.end - r->in.begin,
             MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        r->broken = true;
    if (n <= 0)
        return false;
    r->in.begin += (size_t)n;
    return true;
}

/* A socket that nothing is wanted from is left out: one that was closed would be reported without
 * end. */
static void wait_for_either(const struct relay *r)
{
    short plain_events = (short)((r->in.end > r->in.begin ? POLLOUT : 0) |
                                 (r->out.end == r->out.begin ? POLLIN : 0));
    struct pollfd p[] = {{.fd = r->tls_events ? r->tls_fd : -1, .events = r->tls_events},
                         {.fd = plain_events ? r->plain_fd : -1, .events = plain_events}};

    poll(p, 2, -1);
}

static bool flow_done(const struct flow *f)
{
    return f->ended && f->begin == f->end;
}

void tls_relay(struct tls_link *link, int plain_fd)
{
    struct relay *r = mem_new(1, sizeof(*r));

    r->ssl = link->ssl;
    r->tls_fd = SSL_get_fd(link->ssl);
    r->plain_fd = plain_fd;
    while (!r->broken && !flow_done(&r->in) && !flow_done(&r->out)) {
        bool moved;

        r->tls_events = 0;
        moved = from_tls(r);
        moved |= to_plain(r);
        moved |= from_plain(r);
        moved |= to_tls(r);
        if (!moved && !r->broken)
            wait_for_either(r);
    }
    explicit_bzero(r, sizeof(*r)); /* passwords of sources come by here */
    free(r);
}

void tls_link_close(struct tls_link *link)
{
    if (!link)
        return;
    ERR_clear_error();
    SSL_shutdown(link->ssl);
    SSL_free(link->ssl);
    free(link);
}
