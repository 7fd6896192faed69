# ==== Run, or sourced? =============================================================================================
#
# If it is run, $0 names a file that holds the line below. If it is sourced, $0 names your shell or script; zsh sets it
# to the sourced file, but says so in ZSH_EVAL_CONTEXT.
case ${ZSH_EVAL_CONTEXT-} in
*:file*) ;;
*)
	if [ -f "$0" ] && command grep -qF -e @MARK@ "$0"; then
		@RUN@ "$@"
		exit
	fi
	;;
esac
