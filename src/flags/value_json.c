#include "flags/value_json.h"

bool flags_value_read(const struct json_doc *d, const struct json_node *n, struct arena *arena,
                      struct flags_value *ret) {
    *ret = (struct flags_value){.type = FLAGS_NULL};
    switch ((enum json_type)n->type) {
    case JSON_NULL:
        return true;
    case JSON_BOOL:
        ret->type = FLAGS_BOOL;
        return json_bool(n, &ret->boolean);
    case JSON_NUMBER:
        ret->type = FLAGS_NUMBER;
        ret->text = json_raw(d, n);
        return json_double(d, n, &ret->number);
    case JSON_STRING:
        ret->type = FLAGS_STRING;
        return json_string_in(d, n, arena, &ret->text);
    case JSON_ARRAY:
    case JSON_OBJECT:
        ret->type = FLAGS_JSON;
        ret->text = json_raw(d, n);
        return true;
    }
    return false;
}
