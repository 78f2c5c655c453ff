"""R peaks of an ECG, and heart rates from them.

J. Pan, W. J. Tompkins: A Real-Time QRS Detection Algorithm. IEEE Transactions on Biomedical
Engineering 32(3), 230-236, 1985. Filters are zero phase here, since nothing is in real time; without
the paper's second threshold on the filtered signal.
"""
import numpy as np
import scipy.signal as ss


def r_peaks(ecg, rate_hz):
    """Sample numbers of the R peaks. `ecg`: finite, a few seconds at least."""
    sos = ss.butter(2, [5, 15], "bandpass", fs=rate_hz, output="sos")
    filtered = ss.sosfiltfilt(sos, ecg)
    slope = np.gradient(filtered) * rate_hz
    width = max(1, int(0.15 * rate_hz))
    energy = np.convolve(slope ** 2, np.ones(width) / width, mode="same")
    candidates, _ = ss.find_peaks(energy, distance=max(1, int(0.2 * rate_hz)))
    accepted = _threshold(energy, slope, candidates, rate_hz)
    # The R peak itself is the largest excursion of the filtered ECG near the peak of energy.
    reach = max(1, int(0.1 * rate_hz))
    peaks = [max(range(max(0, p - reach), min(len(ecg), p + reach + 1)), key=lambda i: abs(filtered[i]))
             for p in accepted]
    return np.unique(np.array(peaks, dtype=int))


def _threshold(energy, slope, candidates, rate_hz):
    """Candidates above a threshold between running levels of signal and noise."""
    start = energy[:int(2 * rate_hz)]
    signal, noise = start.max() * 0.5, start.mean() * 0.5
    accepted, intervals, skipped = [], [], []
    steep = lambda p: np.abs(slope[max(0, p - int(0.075 * rate_hz)):p + int(0.075 * rate_hz)]).max()
    for p in candidates:
        value = energy[p]
        since = (p - accepted[-1]) / rate_hz if accepted else np.inf
        # A gap of 1.66 mean intervals: the best of what was skipped may be a beat after all.
        if intervals and since > 1.66 * np.mean(intervals[-8:]) and skipped:
            best = max(skipped, key=lambda q: energy[q])
            if energy[best] > 0.5 * (noise + 0.25 * (signal - noise)):
                intervals.append((best - accepted[-1]) / rate_hz)
                accepted.append(best)
                signal = 0.25 * energy[best] + 0.75 * signal
                skipped = [q for q in skipped if q > best]
                since = (p - best) / rate_hz
        t_wave = since < 0.36 and steep(p) < 0.5 * steep(accepted[-1])
        if value > noise + 0.25 * (signal - noise) and not t_wave:
            if accepted:
                intervals.append(since)
            accepted.append(p)
            skipped = []
            signal = 0.125 * value + 0.875 * signal
        else:
            skipped.append(p)
            noise = 0.125 * value + 0.875 * noise
    return accepted


def heart_rates(ecg, rate_hz, window_s=8, stride_s=2):
    """BPM of each window: beats between its first and last R peak over the time between them. NaN
    where the ECG is not finite, fewer than 4 peaks were found, or an interval is outside 0.25..2.5 s
    or twice another of the window (a beat was missed, or none was there)."""
    ecg = np.asarray(ecg, dtype=np.float64)
    finite = np.isfinite(ecg)
    peaks = r_peaks(np.where(finite, ecg, 0), rate_hz) / rate_hz
    count = max(0, (len(ecg) - window_s * rate_hz) // (stride_s * rate_hz) + 1)
    bpm = np.full(count, np.nan)
    for i in range(count):
        begin = i * stride_s
        beats = peaks[np.searchsorted(peaks, begin):np.searchsorted(peaks, begin + window_s)]
        if len(beats) < 4 or not finite[begin * rate_hz:(begin + window_s) * rate_hz].all():
            continue
        intervals = np.diff(beats)
        if intervals.min() >= 0.25 and intervals.max() <= 2.5 and intervals.max() < 2 * intervals.min():
            bpm[i] = 60 * len(intervals) / (beats[-1] - beats[0])
    return bpm
