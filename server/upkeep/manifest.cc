#include "server/upkeep/manifest.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr int64_t kFormat = 1;

// Calls `see(name, field)` for each number of the manifest.
template <typename M, typename See>
void EachNumber(M& manifest, See see) {
  see("schema_version", manifest.schema_version);
  see("time_ms", manifest.time_ms);
  see("sweeps", manifest.sweeps);
  see("jobs", manifest.jobs);
  see("results", manifest.results);
  see("database_bytes", manifest.database_bytes);
  see("artifacts", manifest.artifacts);
  see("artifact_bytes", manifest.artifact_bytes);
  see("missing", manifest.missing);
  see("logs", manifest.logs);
  see("log_bytes", manifest.log_bytes);
}

const nlohmann::json* Find(const nlohmann::json& json, const char* name) {
  const auto it = json.find(name);
  return it == json.end() ? nullptr : &*it;
}

}  // namespace

std::string ManifestText(const Manifest& manifest) {
  nlohmann::ordered_json json;
  json["format"] = kFormat;
  json["version"] = manifest.version;
  EachNumber(manifest, [&json](const char* name, int64_t value) { json[name] = value; });
  json["database_sha256"] = manifest.database_sha256;
  return json.dump(2) + "\n";
}

absl::StatusOr<Manifest> ParseManifest(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::InvalidArgumentError("is not a JSON object");
  const nlohmann::json* format = Find(json, "format");
  if (format == nullptr || !format->is_number_integer() || *format != kFormat) {
    return absl::InvalidArgumentError(
        absl::StrCat("format: ", format == nullptr ? "missing" : format->dump(), "; must be ",
                     kFormat, "; a newer Retort may have written it"));
  }
  Manifest manifest;
  absl::Status status;
  EachNumber(manifest, [&](const char* name, int64_t& value) {
    const nlohmann::json* field = Find(json, name);
    if (field != nullptr && field->is_number_integer() && *field >= 0) {
      value = field->get<int64_t>();
    } else if (status.ok()) {
      status = absl::InvalidArgumentError(absl::StrCat(
          name, ": ", field == nullptr ? "missing" : field->dump(), "; must be a number"));
    }
  });
  RETORT_RETURN_IF_ERROR(status);
  for (const auto& [name, text_field] :
       {std::pair{"version", &manifest.version}, {"database_sha256", &manifest.database_sha256}}) {
    const nlohmann::json* field = Find(json, name);
    if (field == nullptr || !field->is_string()) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": must be a text"));
    }
    *text_field = field->get<std::string>();
  }
  return manifest;
}

}  // namespace retort
