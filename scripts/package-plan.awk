# Reads what `apt-get -s install` printed and says what it would do to this machine, one line each:
#   new NAME VERSION          comes in beside what is there
#   upgrade NAME OLD NEW      is replaced; nothing of it runs
#   stop removed NAME         would go
#   stop restarted NAME       would be replaced under processes that run
#   stop refused TEXT         apt itself does not know how
# -v busy="NAME…": the packages of which a program runs now.
# -v touchy="NAME…": those whose installation restarts other packages' services.

BEGIN {
  count = split(busy " " touchy, names, " ")
  for (i = 1; i <= count; i++) restarts[names[i]] = 1
}

/^(Remv|Purg) / { print "stop removed " plain($2) }

/^Inst / {
  name = plain($2)
  if ($3 !~ /^\[/) print "new " name " " bare($3)
  else if (name in restarts) print "stop restarted " name
  else print "upgrade " name " " bare($3) " " bare($4)
}

/^E: / { print "stop refused " substr($0, 4) }

# "libc6:i386" is libc6 to whom it concerns.
function plain(name) { sub(/:.*/, "", name); return name }

function bare(version) { gsub(/[][()]/, "", version); return version }
