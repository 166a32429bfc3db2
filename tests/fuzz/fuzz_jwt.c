/* The header Authorization of anybody: what it holds is never believed without its signature. */
#include "jwt/jwt.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char secret[] = "0123456789abcdef0123456789abcdef";
    static struct jwt_key *key;
    struct jwt jwt;
    struct err err = {0};
    char space[64];
    enum json_type type;
    if (!key && jwt_key_new(span_make(secret, sizeof secret - 1), &key, &err) < 0)
        abort();
    if (jwt_verify(key, span_make(data, size), 1700000000, &jwt) &&
        jwt_claim(&jwt, SPAN_LIT("sub"), space, sizeof space, &type).len > JWT_MAX)
        abort();
    struct jwt_key *other = NULL;
    if (jwt_key_new(span_make(data, size), &other, &err) == 0)
        jwt_key_free(other);
    return 0;
}
