// `retort sweep export`: everything of a sweep in one folder of CSV and JSON, with a manifest.
#include <google/protobuf/util/json_util.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/groups.h"
#include "client/cli/results.h"
#include "client/cli/rows.h"
#include "client/cli/table.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr int kMostPoints = 100'000;  // of a series, that ReadMetrics gives
constexpr int64_t kMostRows = 10'000'000;

// A folder that appears under its name when it is whole, and otherwise leaves nothing behind.
class NewFolder {
 public:
  // INVALID_ARGUMENT if `target` is there and is no empty folder.
  static absl::StatusOr<std::unique_ptr<NewFolder>> Make(const std::string& target) {
    std::error_code error;
    const std::filesystem::path path = std::filesystem::absolute(target, error).lexically_normal();
    const std::string whole = path.has_filename() ? path.string() : path.parent_path().string();
    if (std::filesystem::exists(whole, error) && (!std::filesystem::is_directory(whole, error) ||
                                                  !std::filesystem::is_empty(whole, error))) {
      return absl::InvalidArgumentError(
          absl::StrCat("FOLDER: ", target, " is there and is not empty; name a new folder"));
    }
    std::string partial = whole + ".partial-XXXXXX";
    if (mkdtemp(partial.data()) == nullptr) {
      return ErrnoStatus(errno, whole, "cannot be made");
    }
    return std::unique_ptr<NewFolder>(new NewFolder(whole, partial));
  }
  ~NewFolder() {
    std::error_code ignored;
    if (!partial_.empty()) std::filesystem::remove_all(partial_, ignored);
  }
  const std::string& path() const { return partial_; }
  absl::Status Finish() {
    std::error_code error;
    std::filesystem::permissions(partial_, std::filesystem::perms(0755), error);
    RETORT_RETURN_IF_ERROR(SyncFolder(partial_));
    if (rename(partial_.c_str(), target_.c_str()) != 0) {
      return ErrnoStatus(errno, target_, "cannot be put there");
    }
    partial_.clear();
    return SyncFolder(std::filesystem::path(target_).parent_path().string());
  }

 private:
  NewFolder(std::string target, std::string partial)
      : target_(std::move(target)), partial_(std::move(partial)) {}
  const std::string target_;
  std::string partial_;
};

// A file of the export, as it is written.
class OutFile {
 public:
  explicit OutFile(const std::string& path) : path_(path), out_(path, std::ios::binary) {}

  void Write(std::string_view bytes, int64_t rows) {
    out_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    hash_.Update(bytes);
    bytes_ += static_cast<int64_t>(bytes.size());
    rows_ += rows;
  }
  // Its entry in the manifest.
  absl::StatusOr<Json> Finish(const std::string& what) {
    out_.flush();
    if (!out_) return ErrnoStatus(errno, path_, "cannot be written");
    out_.close();
    return Json{{"file", std::filesystem::path(path_).filename().string()},
                {"what", what},
                {"rows", rows_},
                {"bytes", bytes_},
                {"sha256", ArtifactHash(hash_.Finish()).hex()}};
  }

 private:
  const std::string path_;
  std::ofstream out_;
  Sha256 hash_;
  int64_t bytes_ = 0, rows_ = 0;
};

std::string JsonText(const Json& json) {
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

absl::StatusOr<Json> ProtoJson(const google::protobuf::Message& message) {
  std::string text;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  if (!status.ok()) return absl::InternalError("a spec cannot be written as JSON");
  return Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

class Export {
 public:
  Export(Client& client, const std::string& sweep, const std::string& folder)
      : client_(client), sweep_(sweep), folder_(folder) {}

  absl::StatusOr<Json> Run() {
    RETORT_ASSIGN_OR_RETURN(const SweepResults results, FetchResults(client_, sweep_));
    RETORT_RETURN_IF_ERROR(Goes());
    RETORT_RETURN_IF_ERROR(WriteSweep(results));
    RETORT_RETURN_IF_ERROR(WriteJobs(results));
    RETORT_RETURN_IF_ERROR(WriteResults(results));
    RETORT_RETURN_IF_ERROR(WriteFindings(results));
    RETORT_RETURN_IF_ERROR(WriteAttempts());
    RETORT_RETURN_IF_ERROR(WriteMetrics(results));
    return Json{
        {"format", "retort.export.v1"},
        {"retort", RETORT_VERSION},
        {"sweep", sweep_},
        {"export_time", absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now(), absl::UTCTimeZone())},
        {"complete", results.sweep.state() == v1::SWEEP_STATE_DONE},
        {"files", files_}};
  }

 private:
  static absl::Status Goes() {
    return WasInterrupted() ? absl::CancelledError("interrupted; nothing was exported")
                            : absl::OkStatus();
  }

  absl::Status WriteText(const std::string& name, const std::string& what, std::string_view text,
                         int64_t rows) {
    OutFile file(folder_ + "/" + name);
    file.Write(text, rows);
    RETORT_ASSIGN_OR_RETURN(files_.emplace_back(), file.Finish(what));
    return absl::OkStatus();
  }
  absl::Status WriteCsv(const std::string& name, const std::string& what,
                        const std::vector<Json>& rows) {
    return WriteText(name, what, CsvText(rows, {}), static_cast<int64_t>(rows.size()));
  }

  absl::Status WriteSweep(const SweepResults& results) {
    RETORT_ASSIGN_OR_RETURN(const Json spec, ProtoJson(results.sweep.spec()));
    RETORT_RETURN_IF_ERROR(WriteText("sweep.json", "state and counts of the sweep",
                                     JsonText(SweepRow(results.sweep)), 1));
    return WriteText("spec.json", "what was submitted, as SweepSpec of spec.proto", JsonText(spec),
                     1);
  }

  absl::Status WriteJobs(const SweepResults& results) {
    std::vector<Json> rows;
    OutFile specs(folder_ + "/job_specs.jsonl");
    for (const v1::Job& job : results.jobs) {
      rows.push_back(JobRow(job));
      rows.back()["teacher_job"] =
          job.teacher_job().empty() ? Json(nullptr) : Json(ShortName(job.teacher_job()));
      RETORT_ASSIGN_OR_RETURN(const Json spec, ProtoJson(job.spec()));
      const Json line = {{"job", ShortName(job.name())}, {"spec", spec}};
      specs.Write(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n", 1);
    }
    RETORT_ASSIGN_OR_RETURN(files_.emplace_back(),
                            specs.Finish("what each job trains, as TrainingSpec of spec.proto"));
    return WriteCsv("jobs.csv", "the jobs, in the order of expansion", rows);
  }

  absl::Status WriteResults(const SweepResults& results) {
    std::vector<Json> rows = ResultRows(results);
    std::vector<Json> subjects;
    for (Json& row : rows) {
      for (const Json& subject : row["subjects"]) {
        subjects.push_back({{"job", row["job"]}});
        subjects.back().update(subject);
      }
      row.erase("subjects");
    }
    RETORT_RETURN_IF_ERROR(WriteCsv("results.csv", "errors and costs, a row per job", rows));
    return WriteCsv("subjects.csv", "errors on each subject, a row per job and subject", subjects);
  }

  absl::Status WriteFindings(const SweepResults& results) {
    RETORT_RETURN_IF_ERROR(WriteCsv("groups.csv", "means over seeds and folds, with 95 % interval",
                                    GroupedRows(results)));
    const auto methods = MethodRows(results);
    RETORT_RETURN_IF_ERROR(WriteCsv("methods.csv", "each method beside its scratch twins",
                                    methods.ok() ? *methods : std::vector<Json>()));
    Json fits = Json::array();
    for (const char* size : {"params_body", "macs"}) {
      for (Json& row : FitRows(results, size)) fits.push_back(std::move(row));
    }
    return WriteText("fits.json", "scaling laws", JsonText(fits),
                     static_cast<int64_t>(fits.size()));
  }

  // Streams the rows of a query into a CSV file.
  absl::Status Stream(const std::string& sql, bool header, OutFile& file) {
    bool truncated = false;
    RETORT_RETURN_IF_ERROR(client_.Query(sql, kMostRows, [&](const v1::QueryResponse& part) {
      std::string text;
      if (header) {
        for (const std::string& name : part.columns()) {
          absl::StrAppend(&text, text.empty() ? "" : ",", name);
        }
        if (!text.empty()) text += "\r\n";
      }
      for (const v1::QueryRow& row : part.rows()) {
        std::vector<Json> cells = {Json::object()};
        for (int i = 0; i < row.values_size(); ++i) {
          cells[0][std::to_string(i)] = QueryJson(row.values(i));
        }
        const std::string csv = CsvText(cells, {});
        text += csv.substr(csv.find('\n') + 1);
      }
      file.Write(text, part.rows_size());
      truncated = truncated || part.truncated();
    }));
    if (!truncated) return Goes();
    return absl::ResourceExhaustedError(
        absl::StrCat("sweep ", sweep_, " has more than ", kMostRows, " rows of one kind"));
  }

  absl::Status WriteAttempts() {
    OutFile file(folder_ + "/attempts.csv");
    RETORT_RETURN_IF_ERROR(Stream(
        absl::StrCat("SELECT a.* FROM (SELECT job, position FROM jobs WHERE sweep = '", sweep_,
                     "') j JOIN attempts a USING (job) ORDER BY j.position, a.attempt"),
        true, file));
    RETORT_ASSIGN_OR_RETURN(files_.emplace_back(), file.Finish("attempts at the jobs"));
    return absl::OkStatus();
  }

  absl::Status WriteMetrics(const SweepResults& results) {
    OutFile file(folder_ + "/metrics.csv");
    file.Write("job,series,step,value,unix_ms\r\n", 0);
    for (const v1::Job& job : results.jobs) {
      RETORT_RETURN_IF_ERROR(Goes());
      const std::string id = ShortName(job.name());
      RETORT_ASSIGN_OR_RETURN(const auto points, client_.ReadMetrics(id, {}, kMostPoints));
      if (IsThinned(points)) {
        RETORT_RETURN_IF_ERROR(
            Stream(absl::StrCat("SELECT * FROM metrics WHERE job = '", id, "'"), false, file));
        continue;
      }
      std::string text;
      for (const v1::MetricPoint& point : points) {
        const Json value = Number(point.value());
        absl::StrAppend(&text, id, ",", point.series(), ",", point.step(), ",",
                        value.is_null() ? "" : value.dump(), ",", point.unix_ms(), "\r\n");
      }
      file.Write(text, static_cast<int64_t>(points.size()));
    }
    RETORT_ASSIGN_OR_RETURN(files_.emplace_back(), file.Finish("every point of every series"));
    return absl::OkStatus();
  }

  // True if some series has as many points as are given at most, so that some may be left out.
  static bool IsThinned(const std::vector<v1::MetricPoint>& points) {
    int run = 0;
    for (size_t i = 0; i < points.size(); ++i) {
      run = i > 0 && points[i].series() == points[i - 1].series() ? run + 1 : 1;
      if (run >= kMostPoints) return true;
    }
    return false;
  }

  Client& client_;
  const std::string sweep_;
  const std::string folder_;
  std::vector<Json> files_;
};

absl::Status ExportTo(Context& context, const std::string& sweep, const std::string& target) {
  CatchInterrupts();
  RETORT_ASSIGN_OR_RETURN(const auto folder, NewFolder::Make(target));
  Client client = context.NewClient();
  RETORT_ASSIGN_OR_RETURN(const Json manifest, Export(client, sweep, folder->path()).Run());
  RETORT_RETURN_IF_ERROR(
      WriteFileAtomically(folder->path() + "/manifest.json", JsonText(manifest)));
  RETORT_RETURN_IF_ERROR(folder->Finish());
  std::vector<Json> files = manifest.at("files");
  EmitRows(context, files,
           {{"file", "file", 0, {}},
            {"rows", "rows", 0, {}},
            {"bytes", "bytes", 0, {}},
            {"what", "what", 0, {}}});
  return absl::OkStatus();
}

}  // namespace

void AddSweepExport(CLI::App& group, Context& context) {
  CLI::App* command = group.add_subcommand(
      "export", "spec, jobs, results, metrics and fits as one folder of CSV and JSON");
  const auto names = std::make_shared<std::pair<std::string, std::string>>();
  command->add_option("SWEEP", names->first, "name of the sweep")->required();
  command->add_option("FOLDER", names->second, "folder that is not there yet, or empty")
      ->required();
  command->callback(
      [&context, names] { context.Fail(ExportTo(context, names->first, names->second)); });
}

}  // namespace retort
