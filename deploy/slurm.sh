#!/bin/sh
# An array of 64 tasks over one shared folder: sbatch deploy/slurm.sh /shared/recordings /shared/answers
# Make the plan before: earnest batch /shared/recordings --output /shared/answers --plan
# A task that was lost or timed out: give the same sbatch again; what is written stays. Leave --array as it is: there are
# as many parts as tasks, so --array=5 alone would be refused as part 5 of 1.
#SBATCH --job-name=earnest
#SBATCH --array=1-64
#SBATCH --cpus-per-task=4
#SBATCH --mem=4G
#SBATCH --time=12:00:00
#SBATCH --requeue
export OMP_NUM_THREADS=1
exec earnest batch "$1" --output "$2" --shard "${SLURM_ARRAY_TASK_ID:-1}/${SLURM_ARRAY_TASK_COUNT:-1}" --jobs "${SLURM_CPUS_PER_TASK:-1}" --quiet
