/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/cli/client.h"

#include <curl/curl.h>
#include <string.h>
#include <unistd.h>

#include "base/align.h"
#include "base/str.h"

#define REMOTE "https://"
#define ANSWER_MAX ((size_t)64 << 20)

struct answer {
    char *text;
    size_t length;
    /* for streams */
    client_event_fn *fn;
    void *context;
    int ended; /* what fn returned */
    char why[CURL_ERROR_SIZE]; /* what curl says about a failure */
};

static struct client_identity identity;

void client_identify(const struct client_identity *given)
{
    identity = *given;
}

static bool is_remote(const char *socket)
{
    return str_starts(socket, REMOTE);
}

static void answer_done(struct answer *a)
{
    free(a->text);
}

static bool answer_add(struct answer *a, const char *data, size_t n)
{
    char *more;

    if (a->length + n > ANSWER_MAX)
        return false;
    more = realloc(a->text, a->length + n + 1);
    if (!more)
        return false;
    a->text = more;
    memcpy(a->text + a->length, data, n);
    a->length += n;
    a->text[a->length] = '\0';
    return true;
}

static size_t take_whole(char *data, size_t size, size_t count, void *context)
{
    return answer_add(context, data, size * count) ? size * count : 0;
}

/* Hands on each line that is complete.  Not JSON: skipped (empty lines are heartbeats). */
static size_t take_lines(char *data, size_t size, size_t count, void *context)
{
    struct answer *a = context;
    char *end;

    if (!answer_add(a, data, size * count))
        return 0;
    while ((end = memchr(a->text, '\n', a->length))) {
        size_t used = (size_t)(end - a->text) + 1;
        json_t *event = json_loadb(a->text, used, 0, NULL);

        a->ended = event ? a->fn(event, a->context) : 0;
        json_decref(event);
        a->length -= used;
        memmove(a->text, a->text + used, a->length);
        if (a->ended)
            return 0;
    }
    return size * count;
}

/* slipwayd's socket for those who may only look, when the other one is not for us. */
static char *socket_for_us(const char *socket)
{
    _cleanup_free_ char *reading = str_format("%s.ro", socket);

    if (access(socket, W_OK) == 0 || errno != EACCES || access(reading, W_OK) < 0)
        return str_dup(socket);
    return steal_ptr(reading);
}

static int not_running(const char *socket, struct error **err)
{
    if (access(socket, W_OK) < 0 && errno == EACCES)
        return error_set(err, EACCES, "you may not use %s: it is for root and the members of "
                         "slipwayd's group ('usermod -aG slipway USER', then log in anew)", socket);
    return error_set(err, ECONNREFUSED,
                     "slipwayd does not answer on %s: start it ('systemctl start slipwayd', or "
                     "'slipwayd' as root), or name its socket with --socket", socket);
}

/* The alerts of RFC 8446, 6.2, as OpenSSL words them: what slipwayd thinks of our certificate. */
static int refused_by_tls(const char *server, const char *why, struct error **err)
{
    static const struct {
        const char *alert, *meaning;
    } meanings[] = {
        {"certificate required", "it wants a certificate: name yours with --cert and --key"},
        {"handshake failure", "it wants a certificate: name yours with --cert and --key"},
        {"unknown ca", "it does not know who issued our certificate"},
        {"certificate expired", "our certificate has expired"},
        {"certificate revoked", "our certificate is revoked"},
        {"bad certificate", "it does not like our certificate"},
        {"unsupported certificate", "our certificate is not one for clients"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(meanings); i++)
        if (strstr(why, meanings[i].alert))
            return error_set(err, EACCES, "slipwayd on %s does not let us in: %s (%s)", server,
                             meanings[i].meaning, why);
    return error_set(err, EPROTO, "no TLS came about with slipwayd on %s: %s", server, why);
}

static int remote_failed(CURLcode code, const char *server, const char *why, struct error **err)
{
    if (!*why)
        why = curl_easy_strerror(code);
    switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
        return error_set(err, ECONNREFUSED, "slipwayd does not answer on %s: %s", server, why);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return error_set(err, EACCES, "%s cannot be trusted to be slipwayd: %s; --ca names the CA "
                         "of its certificate", server, why);
    case CURLE_SSL_CERTPROBLEM:
        return error_set(err, EINVAL, "our certificate or its key cannot be used: %s", why);
    case CURLE_SSL_CONNECT_ERROR:
        return refused_by_tls(server, why, err);
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR: /* with TLS 1.3 our certificate is judged behind the handshake */
        if (strstr(why, "alert"))
            return refused_by_tls(server, why, err);
        return error_set(err, ECONNRESET, "the connection to slipwayd on %s broke: %s; what it was "
                         "doing goes on", server, why);
    default:
        return error_set(err, EIO, "cannot talk to slipwayd on %s: %s", server, why);
    }
}

static int curl_failed(CURLcode code, const char *socket, const char *why, struct error **err)
{
    if (is_remote(socket))
        return remote_failed(code, socket, why, err);
    switch (code) {
    case CURLE_COULDNT_CONNECT:
        return not_running(socket, err);
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
        return error_set(err, ECONNRESET, "slipwayd ended before it answered; what it was doing "
                         "goes on when it is started again");
    default:
        return error_set(err, EIO, "cannot talk to slipwayd on %s: %s", socket,
                         curl_easy_strerror(code));
    }
}

/* An answer that is not a success as an error. */
static int refused(long status, const json_t *answer, struct error **err)
{
    const json_t *e = json_object_get(answer, "error");
    const char *message = json_string_value(json_object_get(e, "message"));
    int code = (int)json_integer_value(json_object_get(e, "code"));

    if (!message)
        return error_set(err, EPROTO, "slipwayd answered with status %ld and no reason", status);
    return error_set(err, code > 0 ? code : EIO, "%s", message);
}

/* Only the CA that was named is trusted then, not those of the system besides. */
static void request_identify(CURL *curl)
{
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(curl, CURLOPT_SSLCERT, identity.cert);
    curl_easy_setopt(curl, CURLOPT_SSLKEY, identity.key);
    if (!identity.ca)
        return;
    curl_easy_setopt(curl, CURLOPT_CAINFO, identity.ca);
    curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
}

static CURL *request_new(const char *socket, const char *path, struct answer *answer,
                         size_t (*take)(char *, size_t, size_t, void *))
{
    CURL *curl = curl_easy_init();
    bool remote = is_remote(socket);
    _cleanup_free_ char *url = str_format("%s%s", remote ? socket : "http://slipwayd", path);
    _cleanup_free_ char *usable = socket_for_us(socket);

    if (!curl)
        return NULL;
    if (remote)
        request_identify(curl);
    else
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, usable);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, answer->why);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    return curl;
}

static int finish(CURL *curl, CURLcode code, const char *socket, struct answer *answer,
                  json_t **ret_answer, struct error **err)
{
    json_t *json = NULL;
    long status = 0;
    int r = 0;

    if (code != CURLE_OK)
        return curl_failed(code, socket, answer->why, err);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (answer->length)
        json = json_loadb(answer->text, answer->length, 0, NULL);
    if (answer->length && !json)
        r = error_set(err, EPROTO, "slipwayd on %s sent something that is not JSON", socket);
    else if (status < 200 || status > 299)
        r = refused(status, json, err);
    if (r == 0 && ret_answer)
        *ret_answer = json_incref(json);
    json_decref(json);
    return r;
}

int client_call(const char *socket, const char *method, const char *path, const json_t *body,
                json_t **ret_answer, struct error **err)
{
    struct answer answer = {0};
    CURL *curl = request_new(socket, path, &answer, take_whole);
    _cleanup_free_ char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    struct curl_slist *headers;
    int r;

    if (!curl)
        return error_set_errno(err, ENOMEM, "cannot talk to slipwayd");
    headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (text || strcmp(method, "POST") == 0)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text ? text : "");
    r = finish(curl, curl_easy_perform(curl), socket, &answer, ret_answer, err);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    answer_done(&answer);
    return r;
}

int client_stream(const char *socket, const char *path, client_event_fn *fn, void *context,
                  struct error **err)
{
    struct answer answer = {.fn = fn, .context = context};
    CURL *curl = request_new(socket, path, &answer, take_lines);
    CURLcode code;
    int r;

    if (!curl)
        return error_set_errno(err, ENOMEM, "cannot talk to slipwayd");
    code = curl_easy_perform(curl);
    if (answer.ended > 0)
        r = 0;
    else if (answer.ended < 0)
        r = error_set_errno(err, -answer.ended, "gave up listening");
    else if (code != CURLE_OK || answer.length)
        r = finish(curl, code, socket, &answer, NULL, err);
    else
        r = error_set(err, ECONNRESET, "slipwayd has ended");
    curl_easy_cleanup(curl);
    answer_done(&answer);
    return r;
}

char *client_path(const char *prefix, const char *name, const char *suffix)
{
    char *escaped = curl_easy_escape(NULL, name, 0);
    char *path = str_format("/v1/%s/%s%s%s", prefix, escaped ? escaped : "", suffix ? "/" : "",
                            suffix ? suffix : "");

    curl_free(escaped);
    return path;
}
