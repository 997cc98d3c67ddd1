// The same series with VictoriaMetrics/metrics, the way its documentation serves them. It does not compress.
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// Counters, since the library's gauges are callbacks, which cost more at every scrape.
type room struct {
	users, adminUsers *metrics.Counter
	timestamp         *metrics.FloatCounter
}

func main() {
	count, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	set := metrics.NewSet()
	rooms := make([]room, count)
	for number := range rooms {
		labels := fmt.Sprintf(`{vendor="zego",api="zego_rtc",source="live-cn",room="room-%06d"}`, number)
		set.NewCounter("rtc_room_info" + labels).Set(1)
		rooms[number] = room{
			set.NewCounter("rtc_room_users" + labels),
			set.NewCounter("rtc_room_admin_users" + labels),
			set.NewFloatCounter("rtc_room_reading_timestamp_seconds" + labels)}
	}
	next, round := 0, 0
	change := func(changed int) {
		now := float64(time.Now().UnixMilli()) / 1000
		for ; changed > 0; changed-- {
			if next++; next >= count {
				next = 0
				round++
			}
			rooms[next].users.Set(uint64((next*7 + round*13) % 1000))
			rooms[next].adminUsers.Set(uint64((next + round) % 10))
			rooms[next].timestamp.Set(now)
		}
	}
	change(count)

	http.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) { set.WritePrometheus(w) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(http.Serve(listener, nil)) }()
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var order string
		var argument float64
		fmt.Sscan(lines.Text(), &order, &argument)
		change(int(argument))
		fmt.Println("changed")
	}
}
