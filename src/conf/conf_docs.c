/* docs/configuration.md, from the table of keys. */
#include "conf/conf.h"

#include "conf/conf_check.h"
#include "conf/conf_keys.h"
#include "conf/conf_tree.h"

static const char introduction[] =
    "# Configuration\n"
    "\n"
    "This page is generated: `banyan config docs` prints it from the table of keys that reads the "
    "file.\n"
    "`banyan config show` prints the values in effect, defaults included and passwords as `***`.\n"
    "\n"
    "Banyan reads one YAML file, `banyan.yml` or what `-c FILE` names, at its start; `banyan "
    "serve` "
    "also when it\n"
    "changes, for the keys that say so. A mistake in it is found before anything is created, with "
    "file, line and column:\n"
    "\n"
    "```\n"
    "banyan.yml:14:9: unknown key 'tabel', did you mean 'table'?\n"
    "```\n"
    "\n"
    "A small file:\n"
    "\n"
    "```yaml\n"
    "source:\n"
    "  uri: \"postgresql://banyan:${file:/run/secrets/pg}@127.0.0.1:5432/shop\"\n"
    "target:\n"
    "  uri: \"mongodb://127.0.0.1:27017/?replicaSet=rs0\"\n"
    "  database: shop\n"
    "modules:\n"
    "  catalogue:\n"
    "    collections:\n"
    "      products:\n"
    "        table: public.products\n"
    "        fields: {unit_price: price, internal_note: ~}\n"
    "        embed:\n"
    "          images: {table: public.product_images, join: {product_id: id}, order: [position]}\n"
    "        indexes:\n"
    "          - {keys: {sku: 1}, unique: true}\n"
    "```\n"
    "\n"
    "## Values\n"
    "\n"
    "- `${NAME}` in a value is replaced by the environment variable, `${file:/path}` by the text "
    "of "
    "the file without\n"
    "  its last newline; `$${` is a literal `${`. A variable that is not set and a file that "
    "cannot "
    "be read are errors.\n"
    "  This happens after the YAML is read, so a value can never add keys. Names that are keys of "
    "the file (columns,\n"
    "  fields, collections, modules) are taken as they are.\n"
    "- A duration is a whole number with a unit: `250us`, `5ms`, `10s`, `1m`, `2h`, `7d`.\n"
    "- true and false, numbers and `~` stand without quotes, unless they come from `${...}`; "
    "anything else in quotes is\n"
    "  text. JSON is YAML, so a JSON file works as well.\n"
    "- YAML is read as version 1.2: `yes`, `no`, `on` and `off` are text. Anchors and aliases "
    "work; "
    "tags and merge keys\n"
    "  (`<<`) do not.\n"
    "- A key may stand only once in its mapping. A relative path counts from the folder the "
    "program "
    "runs in.\n";

static void add_limits(struct buf *out) {
    buf_printf(out,
               "\n## Limits\n\n"
               "| what | at most |\n| --- | --- |\n"
               "| the file | %d MiB |\n"
               "| one value, after expansion | %d KiB |\n"
               "| values in the file, aliases counted with all they stand for | %d |\n"
               "| anchors | %d |\n"
               "| levels of mappings and lists | %d |\n"
               "| memory of everything read | %d MiB |\n"
               "| entries in one mapping or list of names | %d |\n"
               "| columns in one list | %d |\n"
               "| levels of `embed`, and of a filter, a pipeline or a default | %d, %d |\n"
               "| `database.collection` | %d bytes |\n"
               "| operations, and parameters of one | %d, %d |\n",
               CONF_FILE_MAX / (1024 * 1024), CONF_VALUE_MAX / 1024, CONF_NODES_MAX,
               TREE_ANCHORS_MAX, TREE_DEPTH_MAX, CONF_MEMORY_MAX / (1024 * 1024), CONF_ENTRIES_MAX,
               CONF_COLUMNS_MAX, CONF_EMBED_DEPTH_MAX, CONF_FREE_DEPTH_MAX, CONF_NAMESPACE_MAX,
               CONF_OPERATIONS_MAX, CONF_PARAMS_MAX);
}

static const char *kind_name(enum conf_kind kind) {
    switch (kind) {
    case KIND_SECTION:
        return "mapping";
    case KIND_TEXT:
    case KIND_TEXT_AT:
        return "text";
    case KIND_URI:
        return "URI";
    case KIND_INT:
    case KIND_INT64:
        return "whole number";
    case KIND_DURATION:
        return "duration";
    case KIND_FLAG:
        return "true or false";
    case KIND_CHOICE:
        return "one of";
    case KIND_LIST:
        return "list of columns";
    case KIND_WORDS:
        return "list of texts";
    case KIND_THRESHOLD:
        return "number, duration or percentage";
    case KIND_PERCENT:
        return "percentage";
    case KIND_SIZE:
        return "size: a whole number of bytes, or with `k`, `m` or `g`";
    case KIND_REAL:
        return "number";
    case KIND_OPERATIONS:
        return "mapping: name of the operation, its keys";
    case KIND_PARAMS:
        return "mapping: name of the parameter, type or mapping";
    case KIND_VALUE:
        return "any value";
    case KIND_PAIRS:
        return "mapping: path, text";
    case KIND_ASKER:
        return "text, or mapping";
    case KIND_FALLBACK:
        return "true, false or mapping";
    case KIND_ROUTES:
        return "list of routes";
    case KIND_ATTRIBUTES:
        return "mapping: attribute, text or mapping";
    case KIND_TABLE:
        return "table";
    case KIND_ID:
        return "list of columns, or `objectid`";
    case KIND_MODULES:
        return "mapping: name of the module, its keys";
    case KIND_COLLECTIONS:
        return "mapping: name of the collection, its keys";
    case KIND_FIELDS:
        return "mapping: column, exception";
    case KIND_ADD:
        return "mapping: field, value";
    case KIND_EMBED:
        return "mapping: field, keys of what is embedded";
    case KIND_INDEXES:
        return "list of indexes";
    case KIND_INDEX_KEYS:
        return "mapping: path, one of";
    case KIND_JOIN:
        return "mapping: column, column";
    case KIND_ALERT_RULES:
        return "list of rules";
    case KIND_FIXED:
    case KIND_LATER:
        return "";
    }
    return "";
}

static void add_choices(struct buf *out, const char *choices) {
    struct span choice;
    for (size_t i = 0; choice = conf_choice(choices, i), choice.len > 0; i++) {
        buf_add_text(out, i ? ", `" : " `");
        buf_add_span(out, choice);
        buf_add_char(out, '`');
    }
}

static void add_type(struct buf *out, const struct conf_key *key) {
    if (key->kind == KIND_FIXED) {
        buf_printf(out, "only `%s` in this version", key->fallback);
        return;
    }
    buf_add_text(out, kind_name(key->kind));
    if (key->choices)
        add_choices(out, key->choices);
    if (key->kind == KIND_INT || key->kind == KIND_INT64 || key->kind == KIND_REAL)
        buf_printf(out, ", %lld to %lld", (long long)key->min, (long long)key->max);
    if (key->kind == KIND_DURATION)
        buf_printf(out, ", %s to %s", conf_duration_text(key->min).text,
                   conf_duration_text(key->max).text);
}

static void add_default(struct buf *out, const struct conf_key *key) {
    if (key->flags & KEY_NEEDED)
        buf_add_text(out, "needed");
    else if (key->fallback)
        buf_printf(out, "default: `%s`", key->fallback);
    else
        buf_printf(out, "default: %s",
                   key->otherwise ? key->otherwise : "the defaults of its keys");
    if (key->flags & KEY_INHERITED)
        buf_add_text(out, "; embedded: as in the document around it");
}

static void add_key(struct buf *out, const struct conf_key *key) {
    buf_printf(out, "\n### `%s`\n\n", key->name);
    if (key->scope == SCOPE_MAPPING && (key->flags & KEY_ANYWHERE) != KEY_ANYWHERE)
        buf_printf(out, "Only in %s. ",
                   key->flags & KEY_COLLECTION ? "collections" : "embedded documents");
    add_type(out, key);
    buf_add_text(out, "; ");
    add_default(out, key);
    if (key->flags & KEY_SECRET)
        buf_add_text(out, "; shown without its secrets");
    buf_printf(out, ".\n\n%s", key->help);
    if (key->flags & KEY_RELOAD)
        buf_add_text(out, " `banyan serve` takes a change up while it runs.");
    buf_printf(out, "\n\n```yaml\n%s\n```\n", key->example);
}

static const char operations[] =
    "\nIn the SQL text `:name` is a parameter, `:name|like` one whose `%`, `_` and `\\` mean "
    "themselves in a\n"
    "pattern; quotes, comments, dollar quotes and `::` are left alone. In the MongoDB form only a "
    "text that is a name\n"
    "as a whole, `\":id\"`, is a parameter; `\"::x\"` is the text `:x`. `{$regex: {contains: "
    "\":query\"}}` (or `starts`,\n"
    "`ends`) looks for the parameter's characters as they are. Values are bound, never written "
    "into a statement; a\n"
    "text never becomes a document or an operator. The statement runs in a read-only session, "
    "with the search path\n"
    "that the server gives the user.\n";

static void add_scope(struct buf *out, enum conf_scope scope) {
    static const char *const titles[SCOPE_COUNT] = {
        [SCOPE_ROOT] = "The file",
        [SCOPE_SOURCE] = "`source`",
        [SCOPE_SNAPSHOT] = "`source.snapshot`",
        [SCOPE_TARGET] = "`target`",
        [SCOPE_BATCH] = "`target.batch`",
        [SCOPE_TYPES] = "`types`",
        [SCOPE_TOKENS] = "`tokens`",
        [SCOPE_TLS] = "`tls`",
        [SCOPE_OFREP] = "`ofrep`",
        [SCOPE_ALERTS] = "`alerts`",
        [SCOPE_ALERT_RULE] = "A rule: an entry of `alerts.rules`",
        [SCOPE_GATEWAY] = "`gateway`",
        [SCOPE_GATEWAY_TLS] = "`gateway.tls`",
        [SCOPE_EDGE] = "`edge`",
        [SCOPE_ROUTE] = "A route: an entry of `routes`",
        [SCOPE_SIDE] = "A side of a route: `sql` and `mongodb`",
        [SCOPE_ASKER] = "A claim: `user`, `tenant` or an attribute of a route",
        [SCOPE_ATTRIBUTES] = "`attributes` of a route",
        [SCOPE_FALLBACK] = "`fallback` of a route",
        [SCOPE_BREAKER] = "`fallback.breaker` of a route",
        [SCOPE_OPERATION] = "An operation: `operations.<operation>`",
        [SCOPE_OPERATION_MONGODB] = "`mongodb` of an operation",
        [SCOPE_PARAM] = "A parameter: `params.<param>`",
        [SCOPE_OWN_WRITES] = "`own_writes` of a route",
        [SCOPE_COMPARE] = "`compare` of a route or operation",
        [SCOPE_BUDGET] = "`budget` of a module",
        [SCOPE_GATES] = "`gates` of a module",
        [SCOPE_DIVERGENCE_RATE] = "`gates.divergence_rate` of a module",
        [SCOPE_DIVERGENCES] = "`divergences`",
        [SCOPE_MODULE] = "A module: `modules.<module>`",
        [SCOPE_MAPPING] = "A collection, or what is embedded in one",
        [SCOPE_FIELD] = "An exception: `fields.<column>`",
        [SCOPE_ADD] = "An added field: `add.<field>`",
        [SCOPE_INDEX] = "An index: an entry of `indexes`",
    };
    buf_printf(out, "\n## %s\n", titles[scope]);
    if (scope == SCOPE_OPERATION)
        buf_add_text(out, operations);
    if (scope == SCOPE_MAPPING)
        buf_printf(out, "\nUnder `%s` and, for what is embedded, `embed.<field>`.\n",
                   conf_scope_path(scope));
    size_t count;
    const struct conf_key *key = conf_keys(scope, &count);
    for (size_t i = 0; i < count; i++)
        if (key[i].kind != KIND_LATER)
            add_key(out, &key[i]);
}

static void add_later(struct buf *out) {
    buf_add_text(out, "\n## In the contract, not built yet\n\n"
                      "These keys belong to the vocabulary of `banyan.yml`. This version refuses "
                      "them by name; it never ignores one.\n\n"
                      "| key | what it will be |\n| --- | --- |\n");
    for (unsigned scope = 0; scope < SCOPE_COUNT; scope++) {
        size_t count;
        const struct conf_key *key = conf_keys((enum conf_scope)scope, &count);
        const char *path = conf_scope_path((enum conf_scope)scope);
        for (size_t i = 0; i < count; i++) {
            const char *dot = path[0] ? "." : "";
            if (key[i].kind == KIND_LATER)
                buf_printf(out, "| `%s%s%s` | %s |\n", path, dot, key[i].name, key[i].help);
            else if (key[i].kind == KIND_FIXED)
                buf_printf(out, "| `%s%s%s` other than `%s` | %s |\n", path, dot, key[i].name,
                           key[i].fallback, key[i].help);
        }
    }
    buf_add_text(out, "| `source.uri` with `mariadb://` | MariaDB as the source |\n");
}

void conf_docs(struct buf *out) {
    buf_add_text(out, introduction);
    for (unsigned scope = 0; scope < SCOPE_COUNT; scope++)
        add_scope(out, (enum conf_scope)scope);
    add_limits(out);
    add_later(out);
}
