// A database in memory: a table, an index, a join, an aggregate.
#include "sqlite3.h"
#include <stdio.h>

static int row(void *context, int count, char **values, char **names) {
    int *rows = context;
    (*rows)++;
    for (int i = 0; i < count; i++)
        printf("%s%s=%s", i ? " " : "", names[i], values[i] ? values[i] : "NULL");
    printf("\n");
    return 0;
}

int main(void) {
    sqlite3 *db;
    char *error = 0;
    int rows = 0;
    if (sqlite3_open(":memory:", &db) != SQLITE_OK)
        return 1;
    int status = sqlite3_exec(db,
                              "create table city(id integer primary key, name text, people integer);"
                              "create index by_name on city(name);"
                              "insert into city(name, people) values('Rome', 2800), ('Oslo', 700), ('Lima', 10000);"
                              "create table visit(city integer, year integer);"
                              "insert into visit values(1, 1999), (3, 2004), (1, 2011);"
                              "select name, count(*) as visits, max(year) as last from city join visit on city.id = "
                              "visit.city group by name order by visits desc;"
                              "select sum(people) from city where name > 'M';",
                              row, &rows, &error);
    if (error)
        printf("error: %s\n", error);
    sqlite3_close(db);
    printf("%d rows, status %d\n", rows, status);
    return status;
}
