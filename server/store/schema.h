// The tables of the SQLite store and the views that people query.
#ifndef RETORT_SERVER_STORE_SCHEMA_H_
#define RETORT_SERVER_STORE_SCHEMA_H_

#include <string_view>
#include <vector>

namespace retort::store {

// Statements that bring a database from version n (PRAGMA user_version) to n + 1, at index n, on a
// connection that has the functions of backfill.h. Never changed once released: a change is a new
// entry.
const std::vector<std::string_view>& Migrations();

// The documented views (views.md), the only ones that people's queries name.
const std::vector<std::string_view>& Views();

// Base tables that the views read, and Query through them.
const std::vector<std::string_view>& QueryableTables();

}  // namespace retort::store

#endif  // RETORT_SERVER_STORE_SCHEMA_H_
