#include "client/cli/watch_view.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iostream>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/rows.h"
#include "client/cli/table.h"

namespace retort {
namespace {

constexpr int kNarrow = 70;  // columns below which less is said of a job
constexpr size_t kIdDigits = 8;

// A part of the view: a table whose header names it.
struct Section {
  std::vector<Json> rows;
  std::vector<Column> columns;
  int room = 0;  // lines for rows
  LineStyle style = LineStyle::kPlain;
};

std::string Spread(const std::string& left, const std::string& right, int width) {
  const int gap = width - static_cast<int>(ShownWidth(left) + ShownWidth(right));
  if (gap < 2) return left;
  return absl::StrCat(left, std::string(static_cast<size_t>(gap), ' '), right);
}

int64_t Total(const v1::JobCounts& counts) {
  return counts.blocked() + counts.queued() + counts.leased() + counts.running() +
         counts.succeeded() + counts.failed() + counts.skipped() + counts.cancelled();
}

absl::Time TimeOf(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

std::string TitleLine(const v1::Sweep& sweep, absl::Time now, int width) {
  std::string left =
      absl::StrCat("sweep ", ShortName(sweep.name()), ": ", StateName(sweep.state()));
  if (!sweep.reason().empty()) absl::StrAppend(&left, " (", sweep.reason(), ")");
  std::string right;
  if (sweep.has_create_time()) {
    const absl::Time end = sweep.has_end_time() ? TimeOf(sweep.end_time()) : now;
    const absl::Duration age = std::max(absl::ZeroDuration(), end - TimeOf(sweep.create_time()));
    right = absl::StrCat(sweep.has_end_time() ? "took " : "for ", Roughly(age));
  }
  if (sweep.state() == v1::SWEEP_STATE_ACTIVE && sweep.eta_s() >= 0) {
    absl::StrAppend(&right, right.empty() ? "" : ", ", "about ",
                    Roughly(absl::Seconds(sweep.eta_s())), " left");
  }
  return Spread(Escaped(left), right, width);
}

// `[####>>....x]  45/152`: each character a share of the jobs; what exists at all gets at least
// one.
std::string BarLine(const v1::JobCounts& counts, int width) {
  const int64_t total = Total(counts);
  const std::string label = absl::StrCat(" ", counts.succeeded(), "/", total);
  const int64_t room = width - static_cast<int64_t>(label.size()) - 2;
  if (room < 8) return label.substr(1);
  struct Part {
    int64_t jobs;
    char mark;
    int64_t cells = 0;
  };
  std::array<Part, 4> parts = {{{counts.succeeded(), '#'},
                                {counts.running() + counts.leased(), '>'},
                                {counts.blocked() + counts.queued(), '.'},
                                {counts.failed() + counts.skipped() + counts.cancelled(), 'x'}}};
  int64_t left = room;
  for (Part& part : parts) {
    if (part.jobs > 0) part.cells = std::max<int64_t>(1, part.jobs * room / total);
    left -= part.cells;
  }
  // What rounding left over or took too much goes to or from the part that shows it least.
  std::max_element(parts.begin(), parts.end(), [](const Part& a, const Part& b) {
    return a.cells < b.cells;
  })->cells += left;
  std::string bar;
  for (const Part& part : parts) bar += std::string(static_cast<size_t>(part.cells), part.mark);
  return absl::StrCat("[", bar, "]", label);
}

std::string CountsLine(const v1::Sweep& sweep) {
  const v1::JobCounts& counts = sweep.counts();
  const std::array<std::pair<int64_t, const char*>, 8> all = {{{counts.succeeded(), "succeeded"},
                                                               {counts.running(), "running"},
                                                               {counts.leased(), "leased"},
                                                               {counts.queued(), "queued"},
                                                               {counts.blocked(), "blocked"},
                                                               {counts.failed(), "failed"},
                                                               {counts.skipped(), "skipped"},
                                                               {counts.cancelled(), "cancelled"}}};
  std::vector<std::string> said;
  for (const auto& [jobs, word] : all) {
    if (jobs > 0) said.push_back(absl::StrCat(jobs, " ", word));
  }
  std::string line = absl::StrJoin(said, ", ");
  if (sweep.known_jobs() > 0) absl::StrAppend(&line, " (", sweep.known_jobs(), " known before)");
  return line.empty() ? "no jobs" : line;
}

std::string ShortId(const std::string& job, int width) {
  return ShortName(job).substr(0, width < kNarrow ? 6 : kIdDigits);
}

// What the worker has reported, or the points that it has sent, which come sooner.
int64_t EpochsDone(const v1::Job& job) {
  int64_t done = job.epochs_done();
  for (const v1::MetricPoint& point : job.latest_metrics()) {
    if (point.series() == "train.loss") done = std::max(done, point.step() + 1);
  }
  return std::min<int64_t>(done, job.epochs());
}

// `[##....]`
std::string Load(int64_t busy, int64_t all, int cells) {
  if (all == 0) return "-";
  const int64_t filled = (busy * cells + all - 1) / all;
  std::string bar = "[";
  for (int i = 0; i < cells; ++i) bar += i < filled ? '#' : '.';
  return bar + "]";
}

Json SpeedOf(double samples_per_s) {
  if (!std::isfinite(samples_per_s)) return nullptr;
  return static_cast<int64_t>(std::llround(samples_per_s));
}

Section RunningSection(const WatchModel& model, int width) {
  Section section;
  for (const v1::Job& job : model.running) {
    const bool leased = job.state() == v1::JOB_STATE_LEASED;
    section.rows.push_back(
        {{"job", ShortId(job.name(), width)},
         {"model", job.model()},
         {"method", job.method()},
         {"teacher", job.teacher().empty() ? Json(nullptr) : Json(job.teacher())},
         {"seed", job.seed()},
         {"fold", job.fold()},
         {"attempt", job.attempt()},
         {"epoch", leased ? "starts" : absl::StrCat(EpochsDone(job), "/", job.epochs())},
         {"bar", Load(EpochsDone(job), job.epochs(), 20)},
         {"loss", Number(LatestOf(job, "train.loss"))},
         {"mae", Number(LatestOf(job, "val.mae_bpm"))},
         {"speed", SpeedOf(LatestOf(job, "train.samples_per_s"))},
         {"worker", ShortName(job.worker())}});
  }
  const auto text = Room::kNeeded;
  if (width < kNarrow) {
    section.columns = {{"job", "running", 0, {}, text},   {"model", "network", 0, {}, text},
                       {"method", "method", 0, {}, text}, {"epoch", "epoch", 0, {}, text},
                       {"mae", "MAE", 2, {}, text},       {"speed", "/s", 0, {}, text},
                       {"worker", "worker", 0, {}, text}};
    return section;
  }
  section.columns = {
      {"job", "running", 0, {}, text},       {"model", "network", 0, {}, text},
      {"method", "method", 0, {}, text},     {"teacher", "teacher", 0, {}, Room::kSpare},
      {"seed", "seed", 0, {}, Room::kSpare}, {"fold", "fold", 0, {}, Room::kSpare},
      {"epoch", "epoch", 0, {}, text},       {"loss", "loss", 3, {}, text},
      {"mae", "MAE", 2, {}, text},           {"speed", "samples/s", 0, {}, text},
      {"worker", "worker", 0, {}, text},     {"attempt", "attempt", 0, {}, Room::kSpare},
      {"bar", "", 0, {}, Room::kSpare}};
  return section;
}

// `2 cpu`, `cuda:0 cuda:1`.
std::string Devices(const v1::Worker& worker) {
  std::map<std::string, int> slots;
  for (const v1::Slot& slot : worker.slots()) ++slots[slot.device()];
  std::vector<std::string> said;
  for (const auto& [device, count] : slots) {
    said.push_back(count == 1 ? device : absl::StrCat(count, " ", device));
  }
  return absl::StrJoin(said, " ");
}

std::string Ago(const v1::Worker& worker, absl::Time now) {
  if (!worker.has_seen_time()) return "-";
  return Roughly(std::max(absl::ZeroDuration(), now - TimeOf(worker.seen_time())));
}

Section WorkersSection(const std::vector<v1::Worker>& workers, const std::vector<v1::Job>& running,
                       absl::Time now, int width) {
  std::map<std::string, double> speeds;
  for (const v1::Job& job : running) {
    const double speed = LatestOf(job, "train.samples_per_s");
    if (std::isfinite(speed)) speeds[job.worker()] += speed;
  }
  Section section;
  for (const v1::Worker& worker : workers) {
    const auto speed = speeds.find(worker.name());
    section.rows.push_back(
        {{"worker", ShortName(worker.name())},
         {"state", StateName(worker.state())},
         {"busy", absl::StrCat(worker.jobs_size(), "/", worker.slots_size())},
         {"load", Load(worker.jobs_size(), worker.slots_size(), width < 100 ? 6 : 12)},
         {"devices", Devices(worker)},
         {"speed", speed == speeds.end() ? Json(nullptr) : SpeedOf(speed->second)},
         {"succeeded", worker.succeeded()},
         {"failed", worker.failed()},
         {"seen", Ago(worker, now)},
         {"host", worker.host()},
         {"version", worker.version()},
         {"reason", worker.reason().empty() ? Json(nullptr) : Json(worker.reason())}});
  }
  const auto text = Room::kNeeded;
  section.columns = {{"worker", "worker", 0, {}, text},
                     {"state", "state", 0, {}, text},
                     {"busy", "busy", 0, {}, text},
                     {"load", "load", 0, {}, width < kNarrow ? Room::kSpare : text},
                     {"devices", "devices", 0, {}, Room::kSpare},
                     {"speed", width < kNarrow ? "/s" : "samples/s", 0, {}, text},
                     {"succeeded", "done", 0, {}, text},
                     {"failed", "failed", 0, {}, text},
                     {"seen", "seen", 0, {}, text},
                     {"host", "host", 0, {}, Room::kSpare},
                     {"version", "version", 0, {}, Room::kSpare}};
  const bool reasons = std::any_of(section.rows.begin(), section.rows.end(),
                                   [](const Json& row) { return !row.at("reason").is_null(); });
  if (reasons) section.columns.push_back({"reason", "reason", 0, {}, text});
  return section;
}

Section FailedSection(const std::vector<v1::Job>& failed, int width) {
  Section section;
  section.style = LineStyle::kAlert;
  for (const v1::Job& job : failed) {
    std::string message = job.failure().message();
    message.resize(std::min(message.size(), message.find('\n')));
    std::replace(message.begin(), message.end(), '\t', ' ');
    section.rows.push_back({{"job", ShortId(job.name(), width)},
                            {"cause", CauseName(job.failure().cause())},
                            {"model", job.model()},
                            {"method", job.method()},
                            {"attempt", job.attempt()},
                            {"message", message}});
  }
  const auto spare = width < 100 ? Room::kSpare : Room::kNeeded;
  section.columns = {
      {"job", "failed", 0, {}, Room::kNeeded},     {"cause", "cause", 0, {}, Room::kNeeded},
      {"model", "network", 0, {}, spare},          {"method", "method", 0, {}, spare},
      {"attempt", "attempt", 0, {}, Room::kSpare}, {"message", "message", 0, {}, Room::kNeeded}};
  return section;
}

// Shares out `lines` among the sections: a header and an empty line before each that has rows, then
// rows; first an even share for each, what is left over to the first that still wants it. Where
// there is no room for three rows of each, the last get nothing.
void ShareOut(std::vector<Section>& sections, int lines) {
  std::vector<Section*> wanting;
  for (Section& section : sections) {
    if (!section.rows.empty()) wanting.push_back(&section);
  }
  const auto share = [&] {
    const int count = static_cast<int>(wanting.size());
    return (lines - 2 * count) / std::max(1, count);
  };
  while (wanting.size() > 1 && share() < 3) wanting.pop_back();
  const int each = std::max(0, share());
  lines -= 2 * static_cast<int>(wanting.size());
  for (Section* section : wanting) {
    section->room = std::min(static_cast<int>(section->rows.size()), each);
    lines -= section->room;
  }
  for (Section* section : wanting) {
    const int more = std::min(lines, static_cast<int>(section->rows.size()) - section->room);
    section->room += std::max(0, more);
    lines -= std::max(0, more);
  }
}

void AddSection(const Section& section, int width, std::vector<ViewLine>& lines) {
  if (section.room == 0) return;
  const auto all = static_cast<int>(section.rows.size());
  // The line that says how many are left out takes the place of one more.
  const int shown = section.room == all ? all : std::max(0, section.room - 1);
  std::ostream nowhere(nullptr);
  const Terminal terminal{.out = nowhere, .err = nowhere, .out_is_terminal = true, .width = width};
  // The layout is of the rows that are seen.
  const std::vector<Json> rows(section.rows.begin(), section.rows.begin() + shown);
  std::vector<std::string> text =
      absl::StrSplit(TableText(rows, section.columns, terminal), '\n', absl::SkipEmpty());
  lines.push_back({});
  for (size_t i = 0; i < text.size(); ++i) {
    lines.push_back({std::move(text[i]), i == 0 ? LineStyle::kHead : section.style});
  }
  if (shown < all) {
    lines.push_back({absl::StrCat("  … and ", all - shown, " more"), LineStyle::kFaint});
  }
}

std::string AwayLine(absl::Time heard, absl::Time now) {
  return absl::StrCat("The coordinator is away for ", Roughly(now - heard), "; as it was before:");
}

std::vector<ViewLine> Fitted(std::vector<ViewLine> lines, ScreenSize size) {
  if (static_cast<int>(lines.size()) > size.height) {
    lines.resize(static_cast<size_t>(std::max(0, size.height)));
  }
  for (ViewLine& line : lines) {
    line.text = Cut(line.text, static_cast<size_t>(std::max(0, size.width)));
  }
  return lines;
}

}  // namespace

double LatestOf(const v1::Job& job, std::string_view series) {
  for (const v1::MetricPoint& point : job.latest_metrics()) {
    if (point.series() == series) return point.value();
  }
  return std::numeric_limits<double>::quiet_NaN();
}

std::vector<ViewLine> WatchLines(const WatchModel& model, absl::Time now, ScreenSize size) {
  std::vector<ViewLine> lines;
  lines.push_back({TitleLine(model.sweep, now, size.width), LineStyle::kTitle});
  lines.push_back({BarLine(model.sweep.counts(), size.width), LineStyle::kBar});
  lines.push_back({CountsLine(model.sweep)});
  if (now - model.heard > kSilence) {
    lines.push_back({AwayLine(model.heard, now), LineStyle::kAlert});
  }
  std::vector<Section> sections = {RunningSection(model, size.width),
                                   FailedSection(model.failed, size.width),
                                   WorkersSection(model.workers, model.running, now, size.width)};
  ShareOut(sections, size.height - static_cast<int>(lines.size()));
  std::swap(sections[1], sections[2]);  // what failed stands last, and does not push others around
  for (const Section& section : sections) AddSection(section, size.width, lines);
  return Fitted(std::move(lines), size);
}

std::vector<ViewLine> WorkerLines(const std::vector<v1::Worker>& workers, absl::Time heard,
                                  absl::Time now, ScreenSize size) {
  int64_t busy = 0, slots = 0;
  for (const v1::Worker& worker : workers) {
    if (worker.state() == v1::WORKER_STATE_AWAY) continue;
    busy += worker.jobs_size();
    slots += worker.slots_size();
  }
  std::vector<ViewLine> lines;
  lines.push_back({absl::StrCat(workers.size(), workers.size() == 1 ? " worker, " : " workers, ",
                                busy, " of ", slots, " slots busy"),
                   LineStyle::kTitle});
  if (now - heard > kSilence) lines.push_back({AwayLine(heard, now), LineStyle::kAlert});
  std::vector<Section> sections = {WorkersSection(workers, {}, now, size.width)};
  std::erase_if(sections[0].columns, [](const Column& column) { return column.key == "speed"; });
  ShareOut(sections, size.height - static_cast<int>(lines.size()));
  AddSection(sections[0], size.width, lines);
  return Fitted(std::move(lines), size);
}

}  // namespace retort
