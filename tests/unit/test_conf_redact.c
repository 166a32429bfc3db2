/* Connection strings without secrets: known forms keep what is harmless, and no form of mistake
 * lets a password through. */
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
    const char *uri, *shown;
} cases[] = {
    /* libpq URIs */
    {"postgresql://h/d", "postgresql://h/d"},
    {"postgres://u@h:5432/d", "postgres://u@h:5432/d"},
    {"postgresql://u:SECRET@h:5432/d", "postgresql://u:***@h:5432/d"},
    {"postgresql://u:SEC%40%2FRET@h/d?sslmode=require", "postgresql://u:***@h/d?sslmode=require"},
    {"POSTGRESQL://u:SECRET@h/d", "postgresql://u:***@h/d"},
    {"postgresql://:SECRET@h/d", "postgresql://:***@h/d"},
    {"postgresql://u:@h/d", "postgresql://u:***@h/d"},
    {"postgresql://u:p@h1:1,h2:2,[::1]:3/d", "postgresql://u:***@h1:1,h2:2,[::1]:3/d"},
    {"postgresql://%2Fvar%2Frun/d", "postgresql://%2Fvar%2Frun/d"},
    {"postgresql:///d?host=/tmp&user=u&password=SECRET",
     "postgresql:///d?host=/tmp&user=u&password=***"},
    {"postgresql://h/d?password=SECRET#x&port=1", "postgresql://h/d?password=***&port=1"},
    {"postgresql://h/d?sslpassword=SECRET&sslkey=/k", "postgresql://h/d?sslpassword=***&sslkey=/k"},
    {"postgresql://h/d?pass%77ord=SECRET", "postgresql://h/d?***"},
    {"postgresql://h/d?pasword=SECRET&user=u", "postgresql://h/d?***&user=u"},
    {"postgresql://h/d?SECRET", "postgresql://h/d?***"},
    {"postgresql://h/d?", "postgresql://h/d?***"},
    {"postgresql://h/d?options=-c%20a.b%3DSECRET", "postgresql://h/d?***"},
    {"postgresql://h/d?sslmode=require password=SECRET", "postgresql://h/d?sslmode=***"},
    {"postgresql://h/d?sslmode=require%20password%3DSECRET", "postgresql://h/d?sslmode=***"},
    /* mistakes in them */
    {"postgresql://u:SE/CR:ET@h/d", "postgresql://u:***@h/d"},
    {"postgresql://u:SE/CR?ET@h/d", "postgresql://***"},
    {"postgresql://h/d?password=SE@CRET", "postgresql://***"},
    {"postgresql://u:SE@CR@ET@h/d", "postgresql://u:***@h/d"},
    {"postgresql://u:SECRET", "postgresql://***"},
    {"postgresql://u:SECRET/d", "postgresql://***"},
    {"postgresql://u:1234567/d", "postgresql://***"},
    {"postgresql://u:12SECRET,h/d", "postgresql://***"},
    {"postgresql://u%3ASECRET@h/d", "postgresql://u:***@h/d"},
    {"postgresql://u%3ASECRET/d", "postgresql://***"},
    {"postgresql://h/u:SECRET", "postgresql://***"},
    {"postgresql://h/d?application_name=SECRET@x", "postgresql://***"},
    {"postgresql://[::1:SECRET/d", "postgresql://***"},
    {"postgresql://u SECRET@h/d", "postgresql://u:***@h/d"},
    {" postgresql://u:SECRET@h/d", "***"},
    {"postgresql:/u:SECRET@h/d", "***"},
    {"postgre://u:SECRET@h/d", "***"},
    {"u:SECRET@h/d", "***"},
    {"SECRET", "***"},
    {"", ""},
    /* MongoDB */
    {"mongodb://h:27017/?replicaSet=rs0", "mongodb://h:27017/?replicaSet=rs0"},
    {"mongodb://u:SECRET@h1:1,h2:2/db?w=1&tls=true", "mongodb://u:***@h1:1,h2:2/db?w=1&tls=true"},
    {"mongodb+srv://u:SECRET@c.x.net/", "mongodb+srv://u:***@c.x.net/"},
    {"mongodb://h/?tlsCertificateKeyFile=/k&tlsCertificateKeyFilePassword=SECRET",
     "mongodb://h/?tlsCertificateKeyFile=/k&tlsCertificateKeyFilePassword=***"},
    {"mongodb://h/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:SECRET",
     "mongodb://h/?authMechanism=MONGODB-AWS&authMechanismProperties=***"},
    {"mongodb://h/?AUTHMECHANISMPROPERTIES=A:SECRET", "mongodb://h/?AUTHMECHANISMPROPERTIES=***"},
    {"mongodb://h/?proxyPassword=SECRET", "mongodb://h/?***"},
    {"mongodb://h/?w=1;password=SECRET", "mongodb://h/?w=***"},
    {"mariadb://u:SECRET@h:3306/d", "mariadb://u:***@h:3306/d"},
    /* Redis */
    {"redis://h:6379/0", "redis://h:6379/0"},
    {"redis://:SECRET@h:6379/0", "redis://:***@h:6379/0"},
    {"redis://u:SECRET@h", "redis://u:***@h"},
    {"redis://:SE/CRET@h", "redis://:***@h"},
    {"rediss://u:SECRET@h", "***"},
    /* key=value */
    {"host=h port=5432 dbname=d user=u", "host=h port=5432 dbname=d user=u"},
    {"host=h password=SECRET user=u", "host=h password=*** user=u"},
    {"host = h  password = 'SE CR\\'ET' user=u", "host=h password=*** user=u"},
    {"password='SECRET", "password=***"},
    {"password='SEC'RET host=h", "password=***"},
    {"password=SEC RET host=h", "password=*** ***"},
    {"password= SECRET host=h", "password=*** host=h"},
    {"sslpassword=SECRET sslkey=/k", "sslpassword=*** sslkey=/k"},
    {"pasword=SECRET host=h", "***"},
    {"host=h passwordSECRET", "host=h ***"},
    {"host='h' user='a b' password=SECRET", "host='h' user=*** password=***"},
    {"dbname=postgresql://u:SECRET@h/d", "dbname=***"},
    {"host= password=SECRET", "host=***"},
    {"host=h\\ password=SECRET", "host=***"},
};

static void known_forms(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        _cleanup_(buf_release) struct buf out = {.max = 1 << 16};
        conf_redact_uri(cases[i].uri, &out);
        if (strcmp(buf_text(&out), cases[i].shown) != 0)
            fail_msg("%s\n  gives  %s\n  wanted %s", cases[i].uri, buf_text(&out), cases[i].shown);
    }
}

static uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Any bytes around a secret, in the places where a password stands: it never shows. */
static void no_password_shows(void **state) {
    (void)state;
    static const char *const frames[][2] = {
        {"postgresql://u:", "@h/d"},
        {"mongodb://u:", "@h,i/?w=1"},
        {"postgresql://h/d?password=", ""},
        {"postgresql://h/d?sslmode=x&password=", "&user=u"},
        {"password=", ""},
        {"host=h password='", "' user=u"},
        {"mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:", "&w=1"},
    };
    static const char alphabet[] = "ab:/?#@&=%'\\ ;,[]$+\"\n";
    static const char secret[] = "QZQZQZ";
    uint64_t seed = 20261123;
    for (int round = 0; round < 20000; round++) {
        char password[32];
        size_t front = next_random(&seed) % 8, back = next_random(&seed) % 8, n = 0;
        /* What would end the password by the rules of its place is no part of it. */
        const char *const *frame = frames[next_random(&seed) % (sizeof frames / sizeof frames[0])];
        bool userinfo = strchr(frame[1], '@') != NULL;
        while (n < front) {
            char c = alphabet[next_random(&seed) % (sizeof alphabet - 1)];
            password[n++] = userinfo || !strchr("&' \n=", c) ? c : 'x';
        }
        memcpy(password + n, secret, sizeof secret - 1);
        n += sizeof secret - 1;
        for (size_t i = 0; i < back; i++)
            password[n++] = alphabet[next_random(&seed) % (sizeof alphabet - 1)];
        password[n] = '\0';
        char uri[256];
        (void)snprintf(uri, sizeof uri, "%s%s%s", frame[0], password, frame[1]);
        _cleanup_(buf_release) struct buf out = {.max = 1 << 16};
        conf_redact_uri(uri, &out);
        if (strstr(buf_text(&out), secret))
            fail_msg("%s\n  gives %s", uri, buf_text(&out));
    }
}

/* What a file or variable holds is hidden like what stands in the file, in errors too. */
static void expanded_secrets_are_hidden(void **state) {
    (void)state;
    (void)setenv("BANYAN_T_SECRET", "QZQZQZ", 1);
    static const char head[] = "modules: {m: {collections: {c: {table: t}}}}\n";
    static const char *const bad[] = {
        "source: {uri: \"${BANYAN_T_SECRET}\"}\ntarget: {uri: mongodb://h, database: d}\n",
        "source: {uri: postgresql://h}\ntarget: {uri: \"${BANYAN_T_SECRET}\", database: d}\n",
        "source: {uri: postgresql://h, heartbeat: \"${BANYAN_T_SECRET}\"}\n"
        "target: {uri: mongodb://h, database: d}\n",
        "source: {uri: postgresql://h, snapshot: {consistent: \"${BANYAN_T_SECRET}\"}}\n"
        "target: {uri: mongodb://h, database: d}\n",
        "source: {uri: postgresql://h}\n"
        "target: {uri: mongodb://h, database: d, lanes: \"${BANYAN_T_SECRET}\"}\n",
        "source: {uri: postgresql://h}\ntarget: {uri: mongodb://h, database: d}\n"
        "types: {infinity: \"${BANYAN_T_SECRET}\"}\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[1024];
        (void)snprintf(text, sizeof text, "%s%s", bad[i], head);
        struct err err = {0};
        struct conf *conf = NULL;
        assert_int_equal(conf_parse("t.yml", text, strlen(text), &conf, &err), ERR_CONF);
        if (strstr(err.text, "QZQZQZ"))
            fail_msg("%s", err.text);
    }
    char text[1024];
    (void)snprintf(text, sizeof text,
                   "source: {uri: \"postgresql://u:${BANYAN_T_SECRET}@h/d\"}\n"
                   "target: {uri: \"mongodb://${BANYAN_T_SECRET}:${BANYAN_T_SECRET}@h\", database: "
                   "d}\n%s",
                   head);
    struct err err = {0};
    struct conf *conf = NULL;
    assert_int_equal(conf_parse("t.yml", text, strlen(text), &conf, &err), 0);
    for (int json = 0; json < 2; json++) {
        _cleanup_(buf_release) struct buf out = {.max = 1 << 16};
        conf_show(conf, json, &out);
        assert_non_null(strstr(buf_text(&out), "\"postgresql://u:***@h/d\""));
        assert_non_null(strstr(buf_text(&out), "\"mongodb://QZQZQZ:***@h\""));
    }
    conf_free(conf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_forms),
        cmocka_unit_test(no_password_shows),
        cmocka_unit_test(expanded_secrets_are_hidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
