"""How much memory a program takes, measured in a process of its own."""
import subprocess
import sys

PEAK = "\nprint(int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) / 1e6)"      # of this program alone


def peak_of(program):
    """Run the lines of a program; return the most memory that it held, in GB."""
    done = subprocess.run([sys.executable, "-c", program + PEAK], check=True, capture_output=True, text=True)
    peak = float(done.stdout)
    print(f"{peak:.2f} GB")
    return peak
