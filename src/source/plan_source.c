#include "source/plan_source.h"

#include "base/mem.h"

struct lookup {
    struct pg_catalog *catalog;
    struct pg *pg;
};

static int find_table(void *context, const char *schema, const char *name,
                      const struct pg_table **ret_table, struct buf *similar, struct err *err) {
    const struct lookup *l = context;
    int rc = pg_catalog_table(l->catalog, l->pg, schema, name, ret_table, err);
    if (rc < 0 || *ret_table)
        return rc;
    return pg_catalog_similar_table(l->pg, schema, name, similar, err);
}

int plan_from_source(const struct conf *conf, const char *module, struct pg_catalog *catalog,
                     struct pg *pg, struct plan **ret_plan, struct err *err) {
    const struct conf_module **modules = mem_zalloc(conf->module_count, sizeof *modules);
    struct lookup lookup = {catalog, pg};
    size_t count = 0;
    for (size_t i = 0; i < conf->module_count; i++)
        if (strcmp(module, "all") == 0 || strcmp(conf->modules[i].name.text, module) == 0)
            modules[count++] = &conf->modules[i];
    int rc = plan_compile(conf, modules, count, find_table, &lookup, ret_plan, err);
    free(modules);
    return rc;
}
