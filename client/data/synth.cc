// The model of a person on a treadmill, in the order in which it is computed:
//
// 1. Heart rate. Phases of rest, walking and running; the rate follows each phase's target with a
//    time constant of tens of seconds (rise and recovery of the heart rate in exercise are
//    exponential: Bearden, Moffatt, "VO2 and heart rate kinetics in cycling", J. Appl. Physiol.
//    90(6), 2001) plus a slow wander, within 55..180 BPM.
// 2. Beats. Each interval is 60 / rate, modulated by respiration (sinus arrhythmia) and jitter,
// both
//    fading as the rate rises (McSharry, Clifford, Tarassenko, Smith, "A dynamical model for
//    generating synthetic electrocardiogram signals", IEEE TBME 50(3), 2003).
// 3. Pulses. Two Gaussians on the phase of each beat, a systolic and a dicrotic wave (Tang, Chen,
//    Ward, Elgendi, "Synthetic photoplethysmogram generation using two Gaussian functions", Sci.
//    Rep. 10:13883, 2020). Respiration modulates their amplitude and the baseline (Charlton et al.,
//    "An assessment of algorithms to estimate respiratory rate from the electrocardiogram and
//    photoplethysmogram", Physiol. Meas. 37(4), 2016).
// 4. Motion. Bursts at the cadence of the steps and of the arm (half of it), with harmonics,
// drifting,
//    which at a run lies near the heart rate: what makes wrist PPG hard (Zhang, Pi, Liu, IEEE TBME
//    62(2), 2015). At rest, rare fidgeting. All channels see the same motion with other gains.
// 5. Noise. White, and a slowly drifting baseline.
//
// Numbers that these sources do not give are chosen so that the floors come out as on the IEEE
// recordings (mean predictor about 20 BPM, strongest spectral peak 10 to 15 BPM).
#include "client/data/synth.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numbers>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/data/random.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr int kRateHz = 125;
constexpr double kDt = 1.0 / kRateHz;
constexpr double kMinBpm = 55, kMaxBpm = 180;
constexpr double kTwoPi = 2 * std::numbers::pi;

enum class Activity { kRest, kWalk, kRun };

// What is particular to one channel: where its sensor sits.
struct Sensor {
  double gain;          // of the pulse
  double motion_gain;   // of the cadence
  double swing_gain;    // of the arm swing
  double motion_phase;  // rad
  double noise;
};

struct Person {
  double resting_bpm;
  double effort_bpm;      // rise from rest to run
  double rise_s;          // time constant of the heart rate
  double respiration_hz;  // at rest
  double arrhythmia;      // relative respiratory modulation of the interval at rest
  double jitter;          // relative random change of the interval at rest
  double systole_phase;   // of the systolic wave in the beat, 0..1
  double systole_width;   // likewise
  double dicrotic_delay;  // of the dicrotic wave behind the systolic, 0..1
  double dicrotic_width;
  double dicrotic_gain;                    // relative to the systolic wave
  double amplitude_breath;                 // relative modulation of amplitude by respiration
  double baseline_breath;                  // likewise of the baseline
  double susceptibility;                   // of the sensor to motion
  double walk_hz, run_hz;                  // steps per second
  double second_harmonic, third_harmonic;  // of motion
  std::vector<Sensor> sensors;
};

Person DrawPerson(Random& random, int channels) {
  Person p{};
  p.resting_bpm = random.Uniform(58, 80);
  p.effort_bpm = random.Uniform(65, 95);
  p.rise_s = random.Uniform(10, 25);
  p.respiration_hz = random.Uniform(0.2, 0.32);
  p.arrhythmia = random.Uniform(0.01, 0.05);
  p.jitter = random.Uniform(0.005, 0.02);
  p.systole_phase = random.Uniform(0.22, 0.32);
  p.systole_width = random.Uniform(0.08, 0.12);
  p.dicrotic_delay = random.Uniform(0.28, 0.38);
  p.dicrotic_width = random.Uniform(0.09, 0.15);
  p.dicrotic_gain = random.Uniform(0.15, 0.55);
  p.amplitude_breath = random.Uniform(0.03, 0.15);
  p.baseline_breath = random.Uniform(0.05, 0.3);
  p.susceptibility = std::exp(random.Normal(0, 0.4));
  p.walk_hz = random.Uniform(1.6, 2.0);
  p.run_hz = random.Uniform(2.4, 2.9);
  p.second_harmonic = random.Uniform(0.2, 0.6);
  p.third_harmonic = random.Uniform(0.05, 0.3);
  for (int c = 0; c < channels; ++c) {
    Sensor s{};
    s.gain = random.Uniform(0.7, 1.3);
    s.motion_gain = std::exp(random.Normal(-0.2, 0.5));
    s.swing_gain = random.Uniform(0.2, 0.7);
    s.motion_phase = random.Uniform(0, kTwoPi);
    s.noise = std::exp(random.Normal(std::log(0.12), 0.5));
    p.sensors.push_back(s);
  }
  return p;
}

// Activity of each sample: starts at rest, then phases of 30 to 70 s in the order of a treadmill
// recording: mostly one step up or down.
std::vector<Activity> DrawActivities(Random& random, int64_t samples) {
  std::vector<Activity> activities;
  activities.reserve(samples);
  Activity now = Activity::kRest;
  while (static_cast<int64_t>(activities.size()) < samples) {
    const auto length = static_cast<int64_t>(random.Uniform(30, 70) * kRateHz);
    const int64_t end =
        std::min<int64_t>(samples, static_cast<int64_t>(activities.size()) + length);
    activities.resize(end, now);
    const double draw = random.Uniform();
    switch (now) {
      case Activity::kRest:
        now = draw < 0.7 ? Activity::kWalk : Activity::kRun;
        break;
      case Activity::kWalk:
        now = draw < 0.75 ? Activity::kRun : Activity::kRest;
        break;
      case Activity::kRun:
        now = draw < 0.7 ? Activity::kWalk : Activity::kRest;
        break;
    }
  }
  return activities;
}

// Share of the effort that an activity takes.
double EffortOf(Activity activity) {
  switch (activity) {
    case Activity::kRest:
      return 0.1;
    case Activity::kWalk:
      return 0.45;
    case Activity::kRun:
      return 1;
  }
  return 0;
}

std::vector<double> HeartRate(const Person& p, const std::vector<Activity>& activities,
                              Random& random) {
  std::vector<double> bpm;
  bpm.reserve(activities.size());
  double follow = p.resting_bpm + p.effort_bpm * EffortOf(Activity::kRest);
  double wander = 0, drift = 0;  // two stages, so that the rate is smooth
  for (const Activity activity : activities) {
    const double target = p.resting_bpm + p.effort_bpm * EffortOf(activity);
    follow += (target - follow) * kDt / p.rise_s;
    drift += -drift * kDt / 12 + random.Normal(0, 2.5) * std::sqrt(2 * kDt / 12);
    wander += (drift - wander) * kDt / 4;
    bpm.push_back(std::clamp(follow + wander, kMinBpm, kMaxBpm));
  }
  return bpm;
}

// Phase of respiration at each sample; it quickens with effort.
std::vector<double> Respiration(const Person& p, const std::vector<double>& bpm, Random& random) {
  std::vector<double> phase;
  phase.reserve(bpm.size());
  double now = random.Uniform(0, kTwoPi);
  for (double rate : bpm) {
    const double effort = std::max(0.0, (rate - p.resting_bpm) / p.effort_bpm);
    now += kTwoPi * kDt * p.respiration_hz * (1 + 0.8 * effort);
    phase.push_back(now);
  }
  return phase;
}

// Times of beats in seconds; at least two lie before the start and three behind the end, since a
// pulse reaches into its neighbours and no interval is longer than 2 s.
std::vector<double> BeatTimes(const Person& p, const std::vector<double>& bpm,
                              const std::vector<double>& respiration, Random& random) {
  std::vector<double> beats;
  const double end_s = static_cast<double>(bpm.size()) * kDt;
  double now = -5 + random.Uniform();
  while (now < end_s + 7) {
    beats.push_back(now);
    const auto at =
        static_cast<size_t>(std::clamp(now * kRateHz, 0.0, static_cast<double>(bpm.size() - 1)));
    // Variability fades with effort, as vagal tone is withdrawn.
    const double calm = std::exp(-(bpm[at] - kMinBpm) / 40);
    const double change =
        calm * (p.arrhythmia * std::sin(respiration[at]) + p.jitter * random.Normal());
    now += 60 / bpm[at] * std::max(0.6, 1 + change);
  }
  return beats;
}

double Gaussian(double x, double width) { return std::exp(-0.5 * (x / width) * (x / width)); }

// The pulse wave of amplitude about 1.
std::vector<double> Pulses(const Person& p, const std::vector<double>& beats,
                           const std::vector<double>& respiration, Random& random) {
  // Slow beat-to-beat changes of amplitude beside those by respiration.
  std::vector<double> amplitude(beats.size());
  double wander = 0;
  for (double& value : amplitude) {
    wander = 0.9 * wander + random.Normal(0, 0.05);
    value = std::exp(wander);
  }
  std::vector<double> wave(respiration.size());
  size_t beat = 0;
  for (size_t i = 0; i < wave.size(); ++i) {
    const double t = static_cast<double>(i) * kDt;
    while (beats[beat + 1] <= t) ++beat;
    const double breath = std::sin(respiration[i]);
    double value = 0;
    // The waves reach into the beats before and behind.
    for (size_t b = beat - 1; b <= beat + 1; ++b) {
      const double phase = (t - beats[b]) / (beats[b + 1] - beats[b]) - p.systole_phase;
      value +=
          amplitude[b] * (Gaussian(phase, p.systole_width) +
                          p.dicrotic_gain * Gaussian(phase - p.dicrotic_delay, p.dicrotic_width));
    }
    wave[i] = value * (1 + p.amplitude_breath * breath) + p.baseline_breath * breath;
  }
  return wave;
}

// Steps and arm swing: phase of the cadence and strength of the motion at each sample.
struct Motion {
  std::vector<double> phase;
  std::vector<double> strength;
};

Motion DrawMotion(const Person& p, const std::vector<Activity>& activities, Random& random) {
  Motion motion;
  double phase = random.Uniform(0, kTwoPi), cadence = p.walk_hz, strength = 0;
  double level = 0, left_s = random.Uniform(2, 10);  // of this burst or pause
  bool burst = false;
  double fidget_hz = 1;
  for (const Activity activity : activities) {
    if ((left_s -= kDt) <= 0) {
      burst = !burst;
      const bool rest = activity == Activity::kRest;
      const double usual = rest ? 0.5 : activity == Activity::kWalk ? 0.9 : 1.5;
      level = burst ? usual * std::exp(random.Normal(0, 0.5)) : rest ? 0 : 0.3 * usual;
      left_s = burst ? random.Uniform(4, rest ? 8 : 20) : random.Uniform(4, rest ? 25 : 15);
      fidget_hz = random.Uniform(0.6, 2.5);
    }
    const double target = activity == Activity::kRest   ? fidget_hz
                          : activity == Activity::kWalk ? p.walk_hz
                                                        : p.run_hz;
    cadence += (target - cadence) * kDt / 2 + random.Normal(0, 0.02) * std::sqrt(kDt);
    phase += kTwoPi * kDt * cadence;
    strength += (level - strength) * kDt / 0.5;  // bursts swell and fade
    motion.phase.push_back(phase);
    motion.strength.push_back(strength * p.susceptibility);
  }
  return motion;
}

std::vector<double> Sense(const Person& p, const Sensor& sensor, const std::vector<double>& pulse,
                          const Motion& motion, double level, Random& random) {
  std::vector<double> out(pulse.size());
  double baseline = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    const double step = motion.phase[i];
    const double moved =
        sensor.motion_gain * (std::sin(step + sensor.motion_phase) +
                              p.second_harmonic * std::sin(2 * step + 2.1 * sensor.motion_phase) +
                              p.third_harmonic * std::sin(3 * step + 0.7 * sensor.motion_phase)) +
        sensor.swing_gain * std::sin(step / 2 + sensor.motion_phase);
    baseline += -baseline * kDt / 5 + random.Normal(0, 0.3) * std::sqrt(kDt);
    out[i] = sensor.gain * pulse[i] + level * motion.strength[i] * moved + baseline +
             sensor.noise * random.Normal();
  }
  return out;
}

// Mean heart rate of the beats within each window: intervals over the time that they take.
std::vector<double> ReferenceBpm(const std::vector<double>& beats, int64_t windows) {
  std::vector<double> bpm;
  for (int64_t w = 0; w < windows; ++w) {
    const auto start = static_cast<double>(w * kStrideS);
    const auto first = std::lower_bound(beats.begin(), beats.end(), start);
    const auto last = std::prev(std::lower_bound(first, beats.end(), start + kWindowS));
    bpm.push_back(60.0 * static_cast<double>(last - first) / (*last - *first));
  }
  return bpm;
}

absl::Status CheckOptions(const SynthOptions& o) {
  const auto wrong = [](const char* field, auto value, const char* wanted) {
    return absl::InvalidArgumentError(absl::StrCat(field, " is ", value, "; must be ", wanted));
  };
  if (o.subjects < 1 || o.subjects > 1000) return wrong("subjects", o.subjects, "from 1 to 1000");
  if (!(o.minutes >= 0.5 && o.minutes <= 120)) {
    return wrong("minutes", o.minutes, "from 0.5 to 120");
  }
  if (o.channels < 1 || o.channels > 8) return wrong("channels", o.channels, "from 1 to 8");
  if (!(o.motion >= 0 && o.motion <= 5)) return wrong("motion", o.motion, "from 0 to 5");
  return CheckOptions(o.prepare);
}

Recording SynthesizeSubject(const SynthOptions& options, int index) {
  Random random(options.seed, static_cast<uint64_t>(index));
  const auto samples = static_cast<int64_t>(options.minutes * 60 * kRateHz);
  const Person person = DrawPerson(random, options.channels);
  const auto activities = DrawActivities(random, samples);
  const auto bpm = HeartRate(person, activities, random);
  const auto respiration = Respiration(person, bpm, random);
  const auto beats = BeatTimes(person, bpm, respiration, random);
  const auto pulse = Pulses(person, beats, respiration, random);
  const Motion motion = DrawMotion(person, activities, random);

  const std::string name = absl::StrFormat("synth%03d", index + 1);
  Recording recording{name, name, kRateHz, {}, {}};
  for (const Sensor& sensor : person.sensors) {
    recording.channels.push_back(Sense(person, sensor, pulse, motion, options.motion, random));
  }
  recording.bpm = ReferenceBpm(beats, WindowsIn(samples, kRateHz));
  return recording;
}

}  // namespace

absl::StatusOr<std::vector<Recording>> SynthesizeRecordings(const SynthOptions& options) {
  RETORT_RETURN_IF_ERROR(CheckOptions(options));
  std::vector<Recording> recordings;
  for (int i = 0; i < options.subjects; ++i) recordings.push_back(SynthesizeSubject(options, i));
  return recordings;
}

absl::StatusOr<Dataset> Synthesize(const SynthOptions& options) {
  RETORT_ASSIGN_OR_RETURN(const std::vector<Recording> recordings, SynthesizeRecordings(options));
  std::vector<std::string> channels;
  for (int c = 1; c <= options.channels; ++c) channels.push_back(absl::StrCat("ppg", c));
  RETORT_ASSIGN_OR_RETURN(Dataset dataset,
                          PrepareRecordings(recordings, channels, options.prepare));
  dataset.metadata["name"] = "synth";
  dataset.metadata["source"] = "synthetic, model 1";
  dataset.metadata["seed"] = absl::StrCat(options.seed);
  dataset.metadata["minutes"] = absl::StrCat(options.minutes);
  dataset.metadata["motion"] = absl::StrCat(options.motion);
  return dataset;
}

}  // namespace retort
