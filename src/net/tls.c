#include "net/tls.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define WHY_MAX    200
#define RECORD_MAX 16384 /* RFC 8446 5.1 */
/* Who has followed a stream for hours, and comes back in a crowd, is to have a
 * short handshake. */
#define TICKET_S   86400
#define ID_OCTETS  32    /* SHA-256 */
/* What a peer has us say while nothing is said: it may ask for new keys without
 * end (RFC 8446 4.6.3), each of which takes time, and memory where it is not
 * read.  These are 600; nobody needs two. */
#define ANSWERS_MAX 16384
/* Servers give about two with each connection; what is used at the same time is
 * not many more. */
#define SESSIONS_MAX 8

struct tls_context {
    atomic_uint refs;
    SSL_CTX *ssl;
    unsigned char digest[ID_OCTETS]; /* of the settings */
};

struct tls_server {
    atomic_uint refs;
    struct tls_context *context; /* a reference */
    bool is_address, foreign;
    pthread_mutex_t lock;
    SSL_SESSION *sessions[SESSIONS_MAX]; /* under lock; the newest last */
    unsigned session_count;              /* the same */
    char id[2 * ID_OCTETS + 1];
    char name[];
};

struct tls {
    SSL *ssl;
    struct tls_server *server; /* NULL: it is a client that came to us */
    struct buffer in, out;     /* on their way to and from the SSL */
    size_t in_taken, out_sent; /* of them */
    size_t answers;            /* octets: see ANSWERS_MAX */
    enum tls_state state;
    bool begun;                /* something has come */
    bool is_plain;             /* and it began like a request of HTTP */
    char why[WHY_MAX];
};

/* ---- octets ----------------------------------------------------------------- */

/* OpenSSL reads and writes through this; unlike its own memory, ours is given
 * back as soon as it is empty. */
static int bio_write(BIO *bio, const char *data, size_t len, size_t *written)
{
    struct tls *t = BIO_get_data(bio);

    if (t->out_sent > t->out.len / 2) {
        buffer_drop(&t->out, t->out_sent);
        t->out_sent = 0;
    }
    buffer_append(&t->out, data, len);
    *written = len;
    return !t->out.failed;
}

static int bio_read(BIO *bio, char *out, size_t cap, size_t *taken)
{
    struct tls *t = BIO_get_data(bio);
    size_t n = t->in.len - t->in_taken;

    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    n = n < cap ? n : cap;
    memcpy(out, t->in.data + t->in_taken, n);
    t->in_taken += n;
    if (t->in_taken == t->in.len) {
        buffer_fini(&t->in);
        t->in_taken = 0;
    }
    *taken = n;
    return 1;
}

static long bio_control(BIO *bio, int command, long number, void *arg)
{
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
                          "penstock");
    if (method == NULL)
        return;
    BIO_meth_set_write_ex(method, bio_write);
    BIO_meth_set_read_ex(method, bio_read);
    BIO_meth_set_ctrl(method, bio_control);
}

static BIO *bio_new(struct tls *t)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    BIO *bio;

    pthread_once(&once, make_method);
    bio = method == NULL ? NULL : BIO_new(method);
    if (bio == NULL)
        return NULL;
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    return bio;
}

/* ---- settings ------------------------------------------------------------- */

/* OpenSSL's reason for refusing what was there. */
static const char *refused(void)
{
    static _Thread_local char why[WHY_MAX];
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    snprintf(why, sizeof(why), "cannot be used: %s",
             reason == NULL ? "no reason is known" : reason);
    return why;
}

/* A program that nobody watches cannot ask for a passphrase. */
static int no_passphrase(char *out, int cap, int writing, void *arg)
{
    return -1;
}

static BIO *reading(struct str pem)
{
    return BIO_new_mem_buf(pem.p, (int)pem.n);
}

/* What is named is trusted, also where it is no authority but one below, or a
 * server's own certificate.  NULL, or what is wrong. */
static const char *trust(SSL_CTX *ssl, struct str pem)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ssl);
    BIO *bio = reading(pem);
    unsigned count = 0;
    X509 *cert;

    while (bio != NULL && (cert = PEM_read_bio_X509_AUX(
                               bio, NULL, no_passphrase, NULL)) != NULL) {
        count += X509_STORE_add_cert(store, cert) == 1;
        X509_free(cert);
    }
    BIO_free(bio);
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    return count > 0 ? NULL : "holds no certificate in PEM form";
}

/* What a reader of certificates that found no more has to say of it: NULL where
 * that was the end. */
static const char *after_last(void)
{
    unsigned long error = ERR_peek_last_error();

    return ERR_GET_LIB(error) == ERR_LIB_PEM &&
                   ERR_GET_REASON(error) == PEM_R_NO_START_LINE
               ? NULL
               : "holds a certificate that is damaged";
}

/* Those that lead to an authority. */
static const char *add_chain(SSL_CTX *ssl, BIO *bio)
{
    X509 *cert;

    ERR_clear_error();
    while ((cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL)
        if (SSL_CTX_add0_chain_cert(ssl, cert) != 1) {
            X509_free(cert);
            return refused();
        }
    return after_last();
}

/* The first is ours, and behind it stands its chain. */
static const char *identify(SSL_CTX *ssl, struct str pem)
{
    BIO *bio = reading(pem);
    X509 *cert = bio == NULL ? NULL
                             : PEM_read_bio_X509_AUX(bio, NULL, no_passphrase,
                                                     NULL);
    const char *why = NULL;

    if (cert == NULL)
        why = "holds no certificate in PEM form";
    else if (SSL_CTX_use_certificate(ssl, cert) != 1)
        why = refused();
    else
        why = add_chain(ssl, bio);
    X509_free(cert);
    BIO_free(bio);
    return why;
}

static const char *unlock(SSL_CTX *ssl, struct str pem)
{
    BIO *bio = reading(pem);
    EVP_PKEY *key = bio == NULL ? NULL
                                : PEM_read_bio_PrivateKey(bio, NULL,
                                                          no_passphrase, NULL);
    const char *why = NULL;

    if (key == NULL)
        why = "holds no key in PEM form that is not encrypted";
    else if (X509_check_private_key(SSL_CTX_get0_certificate(ssl), key) != 1)
        why = "holds a key that is not the certificate's";
    else if (SSL_CTX_use_PrivateKey(ssl, key) != 1)
        why = refused();
    EVP_PKEY_free(key);
    BIO_free(bio);
    return why;
}

static const char *fill(SSL_CTX *ssl, const struct tls_settings *s,
                        enum tls_setting *which)
{
    const char *why = NULL;

    *which = TLS_CA;
    if (s->ca.p != NULL)
        why = trust(ssl, s->ca);
    else if (s->verify)
        SSL_CTX_set_default_verify_paths(ssl);
    if (why != NULL || s->cert.p == NULL)
        return why;
    *which = TLS_CERT;
    why = identify(ssl, s->cert);
    if (why != NULL)
        return why;
    *which = TLS_KEY;
    return unlock(ssl, s->key);
}

/* Parts are told apart by their lengths. */
static void digest_parts(unsigned char out[ID_OCTETS], const struct str *parts,
                         unsigned n)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();

    memset(out, 0, ID_OCTETS);
    if (md == NULL)
        return;
    EVP_DigestInit_ex(md, EVP_sha256(), NULL);
    for (unsigned i = 0; i < n; i++) {
        EVP_DigestUpdate(md, &parts[i].n, sizeof(parts[i].n));
        EVP_DigestUpdate(md, parts[i].p, parts[i].n);
    }
    EVP_DigestFinal_ex(md, out, NULL);
    EVP_MD_CTX_free(md);
}

static int judge(int ok, X509_STORE_CTX *store);
static int remember(SSL *ssl, SSL_SESSION *session);

/* RFC 7301 3.2: what both speak, or an alert that says why not.  Who offers
 * nothing speaks HTTP/1.1. */
static int choose_protocol(SSL *ssl, const unsigned char **chosen,
                           unsigned char *chosen_len,
                           const unsigned char *offered, unsigned len,
                           void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";

    return SSL_select_next_proto((unsigned char **)chosen, chosen_len, ours,
                                 sizeof(ours) - 1, offered,
                                 len) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* For those who connect to us.  Their sessions are theirs to keep, in tickets:
 * nothing is remembered here. */
static void set_up_listening(SSL_CTX *ssl)
{
    static const unsigned char name[] = "penstock";

    SSL_CTX_set_mode(ssl, SSL_MODE_NO_AUTO_CHAIN); /* the file has it */
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(ssl, TICKET_S);
    SSL_CTX_set_session_id_context(ssl, name, sizeof(name) - 1);
    SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, NULL);
}

/* For those that we connect to. */
static void set_up_connecting(SSL_CTX *ssl, bool verify)
{
    if (verify)
        SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, judge);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT |
                                            SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ssl, remember);
}

static SSL_CTX *ssl_context(const struct tls_settings *s)
{
    SSL_CTX *ssl = SSL_CTX_new(s->listens ? TLS_server_method()
                                          : TLS_client_method());

    if (ssl == NULL)
        return NULL;
    SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    if (s->listens)
        set_up_listening(ssl);
    else
        set_up_connecting(ssl, s->verify);
    return ssl;
}

int tls_context_new(struct tls_context **out, const struct tls_settings *s,
                    enum tls_setting *which, const char **why)
{
    const struct str parts[] = {s->verify ? STR("verify") : STR(""), s->ca,
                                s->cert, s->key,
                                s->listens ? STR("listens") : STR("")};
    struct tls_context *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return -ENOMEM;
    atomic_init(&c->refs, 1);
    c->ssl = ssl_context(s);
    if (c->ssl == NULL) {
        free(c);
        return -ENOMEM;
    }
    *why = fill(c->ssl, s, which);
    ERR_clear_error();
    digest_parts(c->digest, parts, 5);
    *out = c;
    if (*why == NULL)
        return 0;
    tls_context_unref(out);
    return -EINVAL;
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

bool tls_context_same(const struct tls_context *a, const struct tls_context *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return memcmp(a->digest, b->digest, ID_OCTETS) == 0;
}

void tls_context_unref(struct tls_context **cp)
{
    struct tls_context *c = *cp;

    *cp = NULL;
    if (c == NULL || atomic_fetch_sub(&c->refs, 1) > 1)
        return;
    SSL_CTX_free(c->ssl);
    free(c);
}

/* ---- one server ----------------------------------------------------------- */

static bool is_address(const char *name)
{
    struct in6_addr octets; /* room for either */

    return inet_pton(AF_INET, name, &octets) == 1 ||
           inet_pton(AF_INET6, name, &octets) == 1;
}

static void name_server(struct tls_server *s)
{
    const struct str parts[] = {
        {(const char *)s->context->digest, ID_OCTETS},
        str_of(s->name),
        s->foreign ? STR("foreign") : STR(""),
    };
    unsigned char digest[ID_OCTETS];

    digest_parts(digest, parts, 3);
    for (int i = 0; i < ID_OCTETS; i++)
        snprintf(s->id + 2 * i, 3, "%02x", digest[i]);
}

struct tls_server *tls_server_new(struct tls_context *context,
                                  const char *name, bool foreign)
{
    size_t len = strlen(name);
    struct tls_server *s = calloc(1, sizeof(*s) + len + 1);

    if (s == NULL)
        return NULL;
    atomic_init(&s->refs, 1);
    s->context = tls_context_ref(context);
    s->foreign = foreign;
    s->is_address = is_address(name);
    memcpy(s->name, name, len + 1);
    pthread_mutex_init(&s->lock, NULL);
    name_server(s);
    return s;
}

struct tls_server *tls_server_ref(struct tls_server *s)
{
    atomic_fetch_add(&s->refs, 1);
    return s;
}

void tls_server_unref(struct tls_server **sp)
{
    struct tls_server *s = *sp;

    *sp = NULL;
    if (s == NULL || atomic_fetch_sub(&s->refs, 1) > 1)
        return;
    while (s->session_count > 0)
        SSL_SESSION_free(s->sessions[--s->session_count]);
    tls_context_unref(&s->context);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

const char *tls_server_id(const struct tls_server *s)
{
    return s == NULL ? "" : s->id;
}

/* Each is used once, so that an onlooker cannot tell who comes back (RFC 8446
 * C.4), and no two threads have the same.  NULL: none is left. */
static SSL_SESSION *take_session(struct tls_server *s)
{
    SSL_SESSION *session = NULL;

    pthread_mutex_lock(&s->lock);
    if (s->session_count > 0)
        session = s->sessions[--s->session_count];
    pthread_mutex_unlock(&s->lock);
    return session;
}

/* Takes session, in place of the oldest one where there are enough. */
static void keep_session(struct tls_server *s, SSL_SESSION *session)
{
    SSL_SESSION *oldest = NULL;

    pthread_mutex_lock(&s->lock);
    if (s->session_count == SESSIONS_MAX) {
        oldest = s->sessions[0];
        s->session_count--;
        memmove(s->sessions, s->sessions + 1,
                s->session_count * sizeof(*s->sessions));
    }
    s->sessions[s->session_count++] = session;
    pthread_mutex_unlock(&s->lock);
    SSL_SESSION_free(oldest);
}

/* OpenSSL has a session for a next time; 1: it is ours from now on. */
static int remember(SSL *ssl, SSL_SESSION *session)
{
    struct tls *t = SSL_get_app_data(ssl);

    keep_session(t->server, session);
    return 1;
}

/* ---- what went wrong ------------------------------------------------------- */

/* Whatever the server put there. */
static void print_name(char out[64], const ASN1_STRING *name)
{
    const unsigned char *p = ASN1_STRING_get0_data(name);
    int n = ASN1_STRING_length(name), i;

    for (i = 0; i < n && i < 63; i++)
        out[i] = p[i] > ' ' && p[i] < 0x7f && p[i] != '"' && p[i] != '\\'
                     ? (char)p[i]
                     : '?';
    out[i] = '\0';
}

/* The first host that cert is for. */
static void print_host(char out[64], X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL,
                                            NULL);

    snprintf(out, 64, "another host");
    for (int i = sk_GENERAL_NAME_num(names) - 1; i >= 0; i--) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_DNS)
            print_name(out, name->d.dNSName);
    }
    GENERAL_NAMES_free(names);
}

/* OpenSSL's opinion of a certificate; ours is the same, but in words. */
static int judge(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(
        store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *t = SSL_get_app_data(ssl);
    int error = X509_STORE_CTX_get_error(store);
    char host[64];

    if (ok)
        return ok;
    t->state = TLS_UNTRUSTED;
    if (error == X509_V_ERR_HOSTNAME_MISMATCH ||
        error == X509_V_ERR_IP_ADDRESS_MISMATCH) {
        print_host(host, X509_STORE_CTX_get0_cert(store));
        snprintf(t->why, WHY_MAX, "the server's certificate is for %s, not "
                 "for %.90s", host, t->server->name);
    } else {
        snprintf(t->why, WHY_MAX, "the server's certificate is not trusted: "
                 "%s", X509_verify_cert_error_string(error));
    }
    return ok;
}

/* OpenSSL queues what it has to say, the first thing first. */
static void explain(struct tls *t)
{
    unsigned long error = ERR_peek_error();
    const char *text = ERR_reason_error_string(error);
    const char *reason = text == NULL ? "no reason is known" : text;
    const char *peer = t->server != NULL ? "server" : "client";

    if (t->state == TLS_UNTRUSTED)
        return;
    t->state = t->is_plain ? TLS_PLAIN : TLS_FAILED;
    if (ERR_GET_REASON(error) == SSL_R_WRONG_VERSION_NUMBER || t->is_plain)
        snprintf(t->why, WHY_MAX, "the %s speaks no TLS", peer);
    else if (ERR_GET_REASON(error) >= SSL_AD_REASON_OFFSET &&
             ERR_GET_LIB(error) == ERR_LIB_SSL)
        snprintf(t->why, WHY_MAX, "the %s refused TLS: %s", peer, reason);
    else
        snprintf(t->why, WHY_MAX, "TLS failed: %s", reason);
}

/* ---- one connection ------------------------------------------------------- */

static int set_name(SSL *ssl, const struct tls_server *s)
{
    if (s->is_address)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), s->name);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, s->name) &&
           SSL_set_tlsext_host_name(ssl, s->name);
}

static bool set_up_server(struct tls *t, struct tls_server *s)
{
    static const unsigned char protocols[] = "\x08http/1.1";
    SSL_SESSION *session = take_session(s);

    t->server = tls_server_ref(s);
    SSL_set_connect_state(t->ssl);
    if (s->foreign)
        SSL_certs_clear(t->ssl);
    if (session != NULL)
        SSL_set_session(t->ssl, session);
    SSL_SESSION_free(session);
    return set_name(t->ssl, s) == 1 &&
           SSL_set_alpn_protos(t->ssl, protocols, sizeof(protocols) - 1) == 0;
}

/* With an SSL that has nothing but its octets; NULL when out of memory. */
static struct tls *make(SSL_CTX *context)
{
    struct tls *t = calloc(1, sizeof(*t));
    BIO *bio;

    if (t == NULL)
        return NULL;
    t->ssl = SSL_new(context);
    bio = t->ssl == NULL ? NULL : bio_new(t);
    if (bio == NULL) {
        tls_free(&t);
        return NULL;
    }
    SSL_set_app_data(t->ssl, t);
    SSL_set_bio(t->ssl, bio, bio);
    return t;
}

struct tls *tls_new(struct tls_server *server)
{
    struct tls *t = make(server->context->ssl);

    if (t == NULL)
        return NULL;
    if (!set_up_server(t, server)) {
        tls_free(&t);
        return NULL;
    }
    tls_read(t, NULL, 0);
    return t;
}

struct tls *tls_accept(struct tls_context *context)
{
    struct tls *t = make(context->ssl);

    if (t != NULL)
        SSL_set_accept_state(t->ssl);
    return t;
}

void tls_free(struct tls **tp)
{
    struct tls *t = *tp;

    *tp = NULL;
    if (t == NULL)
        return;
    /* Or OpenSSL would forget the session with a connection that was cut. */
    if (t->ssl != NULL)
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    tls_server_unref(&t->server);
    buffer_fini(&t->in);
    buffer_fini(&t->out);
    free(t);
}

int tls_feed(struct tls *t, const void *data, size_t len)
{
    if (len > 0 && !t->begun) {
        t->begun = true;
        t->is_plain = t->server == NULL && *(const char *)data >= 'A' &&
                      *(const char *)data <= 'Z'; /* no record begins so */
    }
    buffer_append(&t->in, data, len);
    return t->in.failed ? -ENOMEM : 0;
}

bool tls_holds(const struct tls *t)
{
    return t->in.len > 0 || SSL_has_pending(t->ssl);
}

/* With TLS 1.2 the server gives no new session where one was resumed. */
static void give_back_session(struct tls *t)
{
    if (SSL_session_reused(t->ssl) && SSL_version(t->ssl) < TLS1_3_VERSION)
        keep_session(t->server, SSL_get1_session(t->ssl));
}

/* What a call that took nothing from the peer means. */
static void settle(struct tls *t, int rc)
{
    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        break;
    case SSL_ERROR_ZERO_RETURN:
        t->state = TLS_ENDED;
        break;
    default:
        explain(t);
    }
}

/* SSL_read(), until it is too much that has to be said to it. */
static int read_record(struct tls *t, void *out, size_t cap)
{
    size_t before = tls_output(t).n;
    int rc = SSL_read(t->ssl, out, cap > RECORD_MAX ? RECORD_MAX : (int)cap);

    t->answers += tls_output(t).n - before;
    if (t->answers > ANSWERS_MAX) {
        t->state = TLS_FAILED;
        snprintf(t->why, WHY_MAX, "the %s asks for new keys without end",
                 t->server != NULL ? "server" : "client");
        return 0;
    }
    if (rc > 0 && before == 0)
        t->answers = 0;
    return rc;
}

size_t tls_read(struct tls *t, void *out, size_t cap)
{
    int rc;

    ERR_clear_error();
    if (t->state == TLS_HANDSHAKE) {
        rc = SSL_do_handshake(t->ssl);
        if (rc != 1) {
            settle(t, rc);
            return 0;
        }
        t->state = TLS_OPEN;
        if (t->server != NULL)
            give_back_session(t);
    }
    if (t->state != TLS_OPEN || cap == 0)
        return 0;
    rc = read_record(t, out, cap);
    if (rc > 0)
        return (size_t)rc;
    if (t->state == TLS_OPEN)
        settle(t, rc);
    return 0;
}

/* Copies what follows the first from octets of n vectors, as much as fits. */
static size_t gather(char *out, size_t cap, const struct iovec *iov, int n,
                     size_t from)
{
    size_t len = 0;

    for (int i = 0; i < n && len < cap; i++) {
        size_t skipped = from < iov[i].iov_len ? from : iov[i].iov_len;
        size_t piece = iov[i].iov_len - skipped;

        from -= skipped;
        if (piece > cap - len)
            piece = cap - len;
        if (piece > 0)
            memcpy(out + len, (const char *)iov[i].iov_base + skipped, piece);
        len += piece;
    }
    return len;
}

/* Small pieces share a record: each costs about 30 octets. */
ssize_t tls_write_record(struct tls *t, const struct iovec *iov, int n,
                         size_t from)
{
    char record[RECORD_MAX];
    size_t len = gather(record, sizeof(record), iov, n, from), written = 0;

    if (len == 0)
        return 0;
    if (t->out.len == 0)
        t->answers = 0;
    ERR_clear_error();
    /* Into memory all of it goes, at once. */
    return SSL_write_ex(t->ssl, record, len, &written) == 1 && written == len
               ? (ssize_t)len
               : -EPIPE;
}

int tls_write(struct tls *t, const struct iovec *iov, int n)
{
    size_t total = 0;
    ssize_t len;

    do {
        len = tls_write_record(t, iov, n, total);
        total += len > 0 ? (size_t)len : 0;
    } while (len == RECORD_MAX);
    return len < 0 ? (int)len : 0;
}

void tls_end(struct tls *t)
{
    ERR_clear_error();
    /* Said again, it would read what came since, and have something to say of
     * that, too. */
    if ((t->state == TLS_OPEN || t->state == TLS_ENDED) &&
        !(SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN))
        SSL_shutdown(t->ssl);
}

struct str tls_output(const struct tls *t)
{
    if (t->out.len == 0)
        return STR_NONE;
    return (struct str){t->out.data + t->out_sent, t->out.len - t->out_sent};
}

void tls_sent(struct tls *t, size_t len)
{
    t->out_sent += len;
    if (t->out_sent < t->out.len)
        return;
    buffer_fini(&t->out);
    t->out_sent = 0;
}

enum tls_state tls_state(const struct tls *t)
{
    return t->state;
}

const char *tls_why(const struct tls *t)
{
    return t->why;
}
