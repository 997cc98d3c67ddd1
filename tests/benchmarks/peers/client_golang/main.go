// The same series with Prometheus' client_golang, behind its own handler.
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

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

type room struct {
	users, adminUsers, timestamp prometheus.Gauge
}

func main() {
	count, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	family := func(name, help string) *prometheus.GaugeVec {
		vector := prometheus.NewGaugeVec(
			prometheus.GaugeOpts{Name: name, Help: help}, []string{"vendor", "api", "source", "room"})
		registry.MustRegister(vector)
		return vector
	}
	users := family("rtc_room_users", "Users in the room.")
	adminUsers := family("rtc_room_admin_users", "Admin users in the room.")
	timestamp := family("rtc_room_reading_timestamp_seconds", "When the values arrived.")
	info := family("rtc_room_info", "1 for every watched room.")
	rooms := make([]room, count)
	for number := range rooms {
		labels := []string{"zego", "zego_rtc", "live-cn", fmt.Sprintf("room-%06d", number)}
		info.WithLabelValues(labels...).Set(1)
		rooms[number] = room{
			users.WithLabelValues(labels...), adminUsers.WithLabelValues(labels...), timestamp.WithLabelValues(labels...)}
	}
	next, round := 0, 0
	change := func(changed int) {
		now := float64(time.Now().UnixMilli()) / 1000
		for ; changed > 0; changed-- {
			if next++; next >= count {
				next = 0
				round++
			}
			rooms[next].users.Set(float64((next*7 + round*13) % 1000))
			rooms[next].adminUsers.Set(float64((next + round) % 10))
			rooms[next].timestamp.Set(now)
		}
	}
	change(count)

	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
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
